"""`tailrace tail`: prints events as they are appended; it only reads."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from redis.exceptions import RedisError

from tailrace.cli._arguments import channel, count
from tailrace.cli._locate import Target, add_target, advised, find_target
from tailrace.cli._show import clock
from tailrace.events import LogReader, follow, whole_entries
from tailrace.redis import connect, connect_reader, read_together, redact, refusal, trouble
from tailrace.service import Command
from tailrace.service._plain import plain
from tailrace.wire import Entry, Keys, format_id, id_parts, parse_id

_BLOCK_S = 5
_BATCH = 500
_RETRY_S = 1
_EPILOG = """
examples:
  tailrace tail                          # all events from now on
  tailrace tail --last 20 --channel room:1 --channel all
  tailrace tail --json | jq .data.message
"""


class TailedEvent(msgspec.Struct, frozen=True):
    """An event as `--json` prints it."""

    id: str
    shard: int
    channel: str
    event: str
    data: msgspec.Raw
    """What clients receive: the JSON value, or a string if it isn't JSON."""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--channel", action="append", type=channel, metavar="NAME", help="show only this channel; repeatable")
    parser.add_argument("--last", type=count, default=0, metavar="N", help="start with the newest N events of each shard")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    add_target(parser)


def _run(arguments: argparse.Namespace) -> int:
    asyncio.run(_until_signal(_Tail(find_target(arguments), arguments).run()))
    return 0


async def _until_signal(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


class _Tail:
    def __init__(self, target: Target, arguments: argparse.Namespace) -> None:
        self._target, self._keys = target, Keys(target.prefix)
        self._channels = frozenset(arguments.channel or ())
        self._last, self._json = arguments.last, arguments.json
        self._positions: dict[int, int] = {}

    async def run(self) -> None:
        """Print until cancelled; reconnect if Redis goes away."""
        await self._patiently(self._begin)
        async with connect(self._target.redis) as redis, asyncio.TaskGroup() as group:
            for shards in read_together(redis, len(self._positions)):
                group.create_task(self._patiently(partial(self._follow, shards)))

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        said = ""
        while True:
            try:
                return await work()
            except (RedisError, OSError) as error:
                why = trouble(error) if refusal(error) else advised(redact(str(error)), self._target)
                if why != said:
                    print(f"tailrace tail: waiting for {redact(self._target.redis)}: {plain(str(why))}", file=sys.stderr)
                said = why
                await asyncio.sleep(_RETRY_S)

    async def _follow(self, shards: Sequence[int]) -> None:
        async with connect_reader(self._target.redis, block_s=_BLOCK_S) as redis:
            while True:
                positions = {shard: self._positions[shard] for shard in shards}
                found = await follow(redis, self._keys, positions, _BLOCK_S * 1000, _BATCH)
                for shard, raw in found.items():
                    self._print(shard, whole_entries(raw))
                    self._positions[shard] = parse_id(raw[-1][0])

    async def _begin(self) -> None:
        async with connect(self._target.redis) as redis:
            positions = {}
            for shard in range(int(await redis.get(self._keys.layout()) or 1)):
                newest = await LogReader(redis, self._keys, shard).newest(max(self._last, 1))
                positions[shard] = newest[-1].id if newest else 0
                self._print(shard, newest[-self._last :] if self._last else [])
            self._positions = positions

    def _print(self, shard: int, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if not self._channels or entry.channel in self._channels:
                print(_line(shard, entry, as_json=self._json), flush=True)


def _line(shard: int, entry: Entry, *, as_json: bool) -> str:
    event, data = read_block(entry.block)
    if as_json:
        return msgspec.json.encode(TailedEvent(format_id(entry.id), shard, entry.channel, event, _json_of(data))).decode()
    return f"{clock(id_parts(entry.id)[0])} {plain(entry.channel)} {plain(event)} {plain(data)}"


def _json_of(data: str) -> msgspec.Raw:
    """Return data as JSON; an entry doesn't record whether it was pushed as `data` or as `text`."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return msgspec.Raw(msgspec.json.encode(data))
    return msgspec.Raw(data.encode())


def read_block(block: bytes) -> tuple[str, str]:
    """Return the event type and data of a block that tailrace rendered."""
    first, *lines = block.decode(errors="replace").removesuffix("\n\n").split("\n")
    return first.removeprefix("event: "), "\n".join([line.removeprefix("data: ") for line in lines])


COMMAND = Command("Print events as they are appended: time, channel, event, data.", _configure, _run, _EPILOG)
