"""Clients that come back with their cursor, and a producer that pushes at a steady rate and repeats what wasn't answered."""

import itertools
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import anyio
import httpx
import httpx_sse

_RETRY_S = 0.1


class Addressed(Protocol):
    """Whatever listens somewhere; a restart may move it."""

    url: str


@dataclass
class SteadyClient:
    """One subscriber: stays on its channel, goes to the next edge when a stream ends, and notes all that it sees."""

    edges: Sequence[Addressed]
    channel: str
    first: int
    """Which edge it goes to first."""
    resumes: bool = True
    """Whether it comes back with its cursor; without, the harm shows that cursors are there for."""
    numbers: list[int] = field(default_factory=list)
    """`data.n` of every event, in the order in which they came."""
    notices: list[str] = field(default_factory=list)
    """`gap` and `reset` events."""
    refusals: list[int] = field(default_factory=list)
    """Statuses other than 200, after which a browser would have given up."""
    connects: int = 0
    cursor: str = ""
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    async def run(self) -> None:
        """Stay until cancelled."""
        async with httpx.AsyncClient(timeout=httpx.Timeout(5, read=60)) as http:
            for attempt in itertools.count(self.first):
                try:
                    await self._stream(http, self.edges[attempt % len(self.edges)].url)
                except httpx.HTTPError:
                    await anyio.sleep(_RETRY_S)

    async def _stream(self, http: httpx.AsyncClient, edge: str) -> None:
        headers = {"Last-Event-ID": self.cursor} if self.cursor and self.resumes else {}
        params = {"channel": self.channel, "client_id": self.client_id}
        async with httpx_sse.aconnect_sse(http, "GET", f"{edge}/sse", params=params, headers=headers) as source:
            if source.response.status_code != httpx.codes.OK:
                self.refusals.append(source.response.status_code)
            async for event in source.aiter_sse():
                self._note(event)
        await anyio.sleep(_RETRY_S)

    def _note(self, event: httpx_sse.ServerSentEvent) -> None:
        self.cursor = event.id or self.cursor
        self.connects += event.event == "connect"
        if event.event == "message" and event.data:  # httpx-sse also makes an event of `retry:` alone
            self.numbers.append(event.json()["n"])
        elif event.event in ("gap", "reset"):
            self.notices.append(f"{event.event} {event.data}")


@dataclass
class SteadyProducer:
    """Pushes 0, 1, 2, ... to a channel through ingest, one after another, each under a key, until each is accepted."""

    ingest: Addressed
    channel: str
    rate: float
    accepted: list[int] = field(default_factory=list)
    repeats: int = 0
    """Requests that had to be sent again."""

    async def run(self, seconds: float) -> None:
        """Push for so long."""
        start = time.monotonic()
        async with httpx.AsyncClient(timeout=5) as http:
            for number in range(round(seconds * self.rate)):
                await anyio.sleep(max(0, start + number / self.rate - time.monotonic()))
                while not await self._push(http, number):
                    self.repeats += 1
                    await anyio.sleep(_RETRY_S)
                self.accepted.append(number)

    async def _push(self, http: httpx.AsyncClient, number: int) -> bool:
        push = {"to": self.channel, "data": {"n": number}, "key": f"{self.channel}/{number}"}
        try:
            answer = await http.post(f"{self.ingest.url}/push", json=push, headers={"Prefer": "respond-async"})
        except httpx.HTTPError:
            return False
        return answer.status_code in (200, 202)


async def at(seconds: float, action: Callable[[], object]) -> None:
    """Do something that blocks (a kill, a restart), some seconds from now."""
    await anyio.sleep(seconds)
    await anyio.to_thread.run_sync(action)
