"""An application's function, run by workers of any version."""

import msgspec

from tailrace.worker import Event, function


class Numbered(msgspec.Struct):
    n: int
    c: str


@function
async def echo(asked: Numbered) -> Event:
    return Event(asked.c, asked)
