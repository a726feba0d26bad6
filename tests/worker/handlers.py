"""An application's functions, as tests call them."""

import gc
import sys
from collections.abc import Iterator
from typing import Any

import arq
import msgspec

from tailrace.worker import Event, function


class Message(msgspec.Struct):
    sender: str
    text: str = ""
    at: int = 0


@function
async def say(message: Message) -> Event:
    return Event(f"room:{message.sender}", {"text": message.text}, event="said")


@function
def fan_out(message: Message) -> Iterator[Event]:
    for number in range(message.at):
        yield Event(f"room:{number % 3}", {"job": number})


@function
async def nothing(message: Message) -> None:
    return None


@function(name="chat.html")
def html(message: Message) -> list[Event]:
    return [Event("room:1", text=f"<b>{message.text}</b>\n<i>{message.sender}</i>")]


@function
async def third_time(ctx: dict[str, Any], message: Message) -> Event:
    if ctx["job_try"] < 3:
        raise arq.Retry(defer=0.05)
    return Event("room:1", {"try": ctx["job_try"]})


@function
async def never(message: Message) -> None:
    raise arq.Retry(defer=0)


@function
async def broken(message: Message) -> None:
    raise ValueError(message.text)


@function
async def leaves(message: Message) -> None:
    sys.exit(message.text)


@function
def leaves_thread(message: Message) -> None:
    sys.exit(message.text)


@function
def interrupts(message: Message) -> Iterator[Event]:
    yield Event("room:1", {})
    raise KeyboardInterrupt


@function
async def collector(message: Message) -> Event:
    return Event("room:1", {"thresholds": gc.get_threshold(), "frozen": gc.get_freeze_count()})


@function
def wrong(message: Message) -> str:
    return "no event"


@function
async def bad_event(message: Message) -> list[Event]:
    return [Event("room:1", {}), Event("room:1", {}, event="connect")]


@function
async def slow(message: Message) -> Event:
    import anyio

    await anyio.sleep(message.at / 1000)
    return Event("room:slow", {"job": message.text})
