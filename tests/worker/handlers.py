"""An application's functions, as tests call them."""

import asyncio
import contextlib
import gc
import sys
import time
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


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise LookupError("no words")


@function
async def unspeakable(message: Message) -> None:
    raise UnspeakableError if message.text == "no words" else ValueError("\ud800")


@function
async def deaf(ctx: dict[str, Any], message: Message) -> None:
    await ctx["redis"].incr("deaf")
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)


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


@function
async def grows_less(ctx: dict[str, Any], message: Message) -> list[Event]:
    """Emit three events in the first run and one in each later one, so that a run that comes too late would show."""
    run = await ctx["redis"].incr(f"runs:{ctx['job_id']}")
    import anyio

    if run == 1:
        await anyio.sleep(message.at / 1000)
    return [Event("room:runs", {"job": run})] * (3 if run == 1 else 1)


@function
async def grows(ctx: dict[str, Any], message: Message) -> list[Event]:
    """Emit one event more in each run, so that a run that comes too late would show."""
    run = await ctx["redis"].incr(f"runs:{ctx['job_id']}")
    return [Event("room:runs", {"job": run})] * run


@function
async def blocks(ctx: dict[str, Any], message: Message) -> Event:
    await ctx["redis"].incr("blocked")
    time.sleep(message.at / 1000)  # noqa: ASYNC251 - as an application's mistake
    return Event("room:blocks", {"job": message.text})


@function
async def flaky(ctx: dict[str, Any], message: Message) -> Event:
    if ctx["job_try"] <= message.at:
        raise ConnectionResetError(message.text)
    return Event("room:flaky", {"job": ctx["job_try"]})


@function
async def counts(ctx: dict[str, Any], message: Message) -> Event:
    return Event("room:counts", {"job": message.text})


@function
def stays(message: Message) -> None:
    time.sleep(message.at / 1000)
