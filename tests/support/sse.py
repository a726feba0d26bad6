"""A client as tests need it: httpx and httpx-sse, with an EventSource's memory (last id, retry)."""

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any, Self

import httpx
import msgspec
from httpx_sse import EventSource, ServerSentEvent


class SSEClient:
    """One stream at a time: open within `async with`, and again by `reconnect()`, which goes on from the last id."""

    def __init__(self, url: str, last_event_id: str | None = None, **params: Any) -> None:
        self.url, self.params = url, params
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self.status = 0
        self.headers = httpx.Headers()
        self.body = b""
        """What came instead of a stream."""
        self.events: list[ServerSentEvent] = []
        self.ended = asyncio.Event()
        self._read = 0
        self._news = asyncio.Condition()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drop()

    async def drop(self) -> None:
        """Close the connection, as a lost network does."""
        await self._stack.aclose()

    async def reconnect(self, url: str | None = None) -> None:
        """Connect again, to this or another edge, with the last id that was seen."""
        await self.drop()
        self.url = url or self.url
        self.ended = asyncio.Event()
        await self._open()

    async def next(self, event: str | None = "message", timeout_s: float = 10) -> ServerSentEvent:
        """Give the next event of a type (any, for None), and pass over those before it.

        Raises:
            TimeoutError: none came in time, or the stream ended; the message shows what did come.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._news:
                while True:
                    while self._read < len(self.events):
                        self._read += 1
                        if event in (None, self.events[self._read - 1].event):
                            return self.events[self._read - 1]
                    if self.ended.is_set():
                        break
                    await self._news.wait()
        state = "the stream ended" if self.ended.is_set() else f"within {timeout_s} s"
        raise TimeoutError(f"no {event} ({state}): {self.status} {self.events[-10:]} {self.body!r}")

    async def data(self, event: str | None = "message", timeout_s: float = 10) -> Any:
        """Give the decoded data of the next event."""
        return msgspec.json.decode((await self.next(event, timeout_s)).data)

    async def until_ended(self, timeout_s: float = 10) -> None:
        """Wait until the server has ended the stream."""
        async with asyncio.timeout(timeout_s):
            await self.ended.wait()

    def ids(self) -> list[str]:
        return [event.id for event in self.events]

    async def _open(self) -> None:
        headers = {"Last-Event-ID": self.last_event_id} if self.last_event_id else {}
        client = await self._stack.enter_async_context(httpx.AsyncClient(timeout=httpx.Timeout(10, read=None)))
        response = await self._stack.enter_async_context(client.stream("GET", self.url, params=self.params or None, headers=headers))
        self.status, self.headers = response.status_code, response.headers
        if response.status_code != httpx.codes.OK:
            self.body = await response.aread()
            self.ended.set()
            return
        task = asyncio.create_task(self._follow(response, self.ended))
        self._stack.push_async_callback(_end, task)

    async def _follow(self, response: httpx.Response, ended: asyncio.Event) -> None:
        with suppress(httpx.TransportError):
            async for sse in EventSource(response).aiter_sse():
                self.retry_ms = sse.retry or self.retry_ms
                self.last_event_id = sse.id or self.last_event_id
                self.events.append(sse)  # httpx-sse delivers a block without data too, and no edge writes one
                async with self._news:
                    self._news.notify_all()
        ended.set()
        async with self._news:
            self._news.notify_all()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
