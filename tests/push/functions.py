"""What the tests' worker can be called for."""

import msgspec

from tailrace.worker import Event, function


class Person(msgspec.Struct):
    name: str


@function
def greet(person: Person) -> Event:
    return Event(to="room:greetings", data={"hello": person.name})
