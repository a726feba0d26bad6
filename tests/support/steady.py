"""Clients that come back with their cursor, and a producer that pushes at a steady rate and repeats what wasn't answered."""

import itertools
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import anyio
import httpx
import msgspec

from tailrace.wire import decode_cursor
from tests.support.stream import Block, Stream, open_stream
from tests.system.checker import Gap, Seen, Start, event

_RETRY_S = 0.1


class Addressed(Protocol):
    """Whatever listens somewhere; a restart may move it."""

    url: str


class Numbered(msgspec.Struct):
    """What producers of tests push."""

    n: int
    """Counts the channel's pushes."""
    c: str = ""
    """The channel; empty where a client has only one."""


class Named(msgspec.Struct):
    """What a `gap` says."""

    channel: str


_numbered, _named = msgspec.json.Decoder(Numbered), msgspec.json.Decoder(Named)


def _retry_s(_: int) -> float:
    return _RETRY_S


@dataclass(eq=False)
class SteadyClient:
    """One subscriber: stays on its channels, goes to the next edge when a stream ends, and notes all that it sees."""

    edges: Sequence[Addressed]
    channels: Sequence[str]
    first: int = 0
    """Which edge it goes to first."""
    resumes: bool = True
    """Whether it comes back with its cursor; without, the harm shows that cursors are there for."""
    owed: Callable[[], Mapping[str, int]] = dict
    """Gives, per channel, the number of the first push that hasn't begun yet: from there on, what is accepted has to come."""
    away_s: Callable[[int], float] = _retry_s
    """How long it stays away when a stream has ended, given the `retry:` that it was told last (ms)."""
    rewind: int = 0
    receive_bytes: int = 0
    """A receive buffer of its own, for clients that are slow."""
    seen: list[Seen] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    """`gap` and `reset` events."""
    refusals: list[int] = field(default_factory=list)
    """Statuses other than 200, after which a browser would have given up."""
    connects: int = 0
    since: float = 0.0
    """When it connected last, by the monotonic clock."""
    drained: int = 0
    cursor: str = ""
    retry_ms: int = 0
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    stream: Stream | None = None
    """The one that is open."""
    latest: dict[str, int] = field(default_factory=dict)
    """The number that came last, per channel."""
    receded: list[str] = field(default_factory=list)
    """Cursors that lay behind the one before them, in any shard: ids never decrease."""

    async def run(self) -> None:
        """Stay until cancelled."""
        for attempt in itertools.count(self.first):
            await self._stream(self.edges[attempt % len(self.edges)])
            await anyio.sleep(self.away_s(self.retry_ms))

    async def _stream(self, edge: Addressed) -> None:
        url = urlsplit(edge.url)
        authority: Path | None = getattr(edge, "authority", None)
        try:
            self.stream = await open_stream(
                url, self._request(url.netloc), self._take, authority=authority, receive_bytes=self.receive_bytes
            )
        except (OSError, TimeoutError):
            return
        try:
            await self.stream.ended
        finally:
            self.stream.cut()
        if self.stream.status not in (0, 200):
            self.refusals.append(self.stream.status)

    def _request(self, host: str) -> bytes:
        query = [("channel", channel) for channel in self.channels] + [("client_id", self.client_id)]
        if self.rewind:
            query.append(("rewind", str(self.rewind)))
        cursor = f"Last-Event-ID: {self.cursor}\r\n" if self.cursor and self.resumes else ""
        return f"GET /sse?{urlencode(query)} HTTP/1.1\r\nHost: {host}\r\n{cursor}\r\n".encode()

    def _take(self, block: Block) -> None:
        self._move(block.id or self.cursor)
        self.retry_ms = int(block.retry or self.retry_ms)
        match block.event:
            case "message":
                self._note(_numbered.decode(block.data))
            case "connect":
                self.connects += 1
                self.since = time.monotonic()
                if self.connects == 1:
                    self.seen.append(Start(self.owed()))
            case "gap":
                self.seen.append(Gap(_named.decode(block.data).channel))
                self.notices.append(f"gap {block.data.decode()}")
            case "reset":
                self.seen.append(Start(self.owed()))
                self.notices.append(f"reset {block.data.decode()}")
            case "drain":
                self.drained += 1

    def _move(self, cursor: str) -> None:
        if self.cursor and recedes(self.cursor, cursor):
            self.receded.append(f"{self.cursor} {cursor}")
        self.cursor = cursor

    def _note(self, data: Numbered) -> None:
        channel = data.c or self.channels[0]
        self.latest[channel] = data.n
        self.seen.append(event(channel, data.n))

    def has(self, accepted: Mapping[str, Sequence[int]]) -> bool:
        """Say whether the last accepted push of each of its channels has come."""
        return all(self.latest.get(channel, -1) >= accepted[channel][-1] for channel in self.channels if accepted.get(channel))


@lru_cache(maxsize=1024)  # clients of one edge get the same ones
def recedes(before: str, after: str) -> bool:
    """Say whether a cursor lies behind the one before it in any shard whose generation is the same."""
    shards = before.count(".") + 1
    pairs = zip(decode_cursor(before, shards), decode_cursor(after, shards), strict=True)
    return any(was.generation == now.generation and was.position > now.position for was, now in pairs)


@dataclass
class SteadyProducer:
    """Pushes 0, 1, 2, ... to a channel through ingest, one after another, each under a key, until each is accepted."""

    ingest: Addressed
    channel: str
    rate: float
    numbers: list[int] = field(default_factory=list)
    """Those that were accepted."""
    repeats: int = 0
    """Requests that had to be sent again."""

    @property
    def accepted(self) -> dict[str, list[int]]:
        return {self.channel: self.numbers}

    async def run(self, seconds: float) -> None:
        """Push for so long."""
        start = time.monotonic()
        async with httpx.AsyncClient(timeout=5) as http:
            for number in range(round(seconds * self.rate)):
                await anyio.sleep(max(0, start + number / self.rate - time.monotonic()))
                while not await self._push(http, number):
                    self.repeats += 1
                    await anyio.sleep(_RETRY_S)
                self.numbers.append(number)

    async def _push(self, http: httpx.AsyncClient, number: int) -> bool:
        push = {"to": self.channel, "data": {"n": number, "c": self.channel}, "key": f"{self.channel}/{number}"}
        try:
            answer = await http.post(f"{self.ingest.url}/push", json=push, headers={"Prefer": "respond-async"})
        except httpx.HTTPError:
            return False
        return answer.status_code in (200, 202)


async def at(seconds: float, action: Callable[[], object]) -> None:
    """Do something that blocks (a kill, a restart), some seconds from now."""
    await anyio.sleep(seconds)
    await anyio.to_thread.run_sync(action)
