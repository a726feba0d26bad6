"""A proxy between workers and Redis that can act at the very byte where a script is called, or where its answer comes back."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import hiredis

from tailrace.events._scripts import script as log_script
from tailrace.queue import script as worker_script
from tests.support.ports import free_port
from tests.support.scripts import script_names

_SHA, _KEYS = 1, 3


class Call(NamedTuple):
    """A script that a worker calls."""

    worker: int
    script: str
    key: bytes
    """The first of its keys."""


class Snare(NamedTuple):
    """Which call to wait for, and what to do then."""

    wanted: Callable[[Call], bool]
    act: Callable[[Call], None]
    """Called at once. The call, or its answer, is kept until it is let go or dropped."""
    after: bool = False
    """Wait for the answer, which says that the script has run."""
    kept: Callable[[Call], bool] = lambda _: False
    """Calls that are kept meanwhile, without acting."""


class _Link:
    """One connection of a worker's, and ours that goes with it."""

    def __init__(self, worker: int, below: asyncio.StreamWriter, above: asyncio.StreamWriter) -> None:
        self.worker, self.below, self.above = worker, below, above
        self.watched: Call | None = None
        """The call whose answer is waited for."""
        self.kept: list[tuple[asyncio.StreamWriter, bytes]] = []
        self.passes = asyncio.Event()
        self.passes.set()

    def keep(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        self.kept.append((writer, data))
        self.passes.clear()

    def let_go(self) -> None:
        for writer, data in self.kept:
            with suppress(ConnectionError, RuntimeError):
                writer.write(data)
        self.kept.clear()
        self.passes.set()

    def cut(self) -> None:
        self.kept.clear()
        self.passes.set()
        for writer in (self.below, self.above):
            writer.close()


class Trap:
    """What stands between some workers and their Redis."""

    def __init__(self) -> None:
        self._names = _script_names()
        self._snare: Snare | None = None
        self._links: set[_Link] = set()
        self.calls = Counter[tuple[int, str]]()
        """How often each worker has called each script."""

    @asynccontextmanager
    async def door(self, worker: int, port: int) -> AsyncIterator[str]:
        """Listen for a worker, before a Redis of this machine; gives the URL."""
        here = free_port()

        served: set[asyncio.Task[None]] = set()

        def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.add(asyncio.create_task(self._serve(worker, port, reader, writer)))

        server = await asyncio.start_server(welcome, "127.0.0.1", here)
        try:
            yield f"redis://127.0.0.1:{here}/0"
        finally:
            server.close()
            for task in served:
                task.cancel()
            await asyncio.gather(*served, return_exceptions=True)

    def arm(self, snare: Snare) -> None:
        """Wait for a call; one at a time."""
        self._snare = snare

    def let_go(self) -> None:
        """Send on what is kept, even if who sent it is dead by now."""
        for link in list(self._links):
            link.let_go()

    def cut(self) -> None:
        """Close the connections on which something is kept; it is lost."""
        for link in [link for link in self._links if link.kept]:
            link.cut()

    async def _serve(self, worker: int, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closing(writer):
            answers, above = await asyncio.open_connection("127.0.0.1", port)
            async with _closing(above):
                link = _Link(worker, writer, above)
                self._links.add(link)
                try:
                    await asyncio.gather(self._requests(link, reader), self._answers(link, answers))
                finally:
                    self._links.discard(link)

    async def _requests(self, link: _Link, reader: asyncio.StreamReader) -> None:
        parser = hiredis.Reader()
        with suppress(ConnectionError, RuntimeError):
            while data := await reader.read(1 << 16):
                parser.feed(data)
                while isinstance(words := parser.gets(), list):
                    self._pass_on(link, words)
                await link.above.drain()
        await link.passes.wait()
        link.above.close()

    def _pass_on(self, link: _Link, words: list[bytes]) -> None:
        packed = _pack(words)
        call, snare = self._call(link.worker, words), self._snare
        if call:
            self.calls[call.worker, call.script] += 1
        if snare and call and snare.wanted(call):
            if snare.after:
                link.watched = call
            else:
                self._snare = None
                link.keep(link.above, packed)
                snare.act(call)
                return
        elif (snare and call and snare.kept(call)) or not link.passes.is_set():
            link.keep(link.above, packed)
            return
        link.above.write(packed)

    def _call(self, worker: int, words: list[bytes]) -> Call | None:
        name = self._names.get(words[_SHA]) if words[0] == b"EVALSHA" else None
        return Call(worker, name, words[_KEYS]) if name else None

    async def _answers(self, link: _Link, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError, RuntimeError):
            while data := await reader.read(1 << 16):
                call, snare, link.watched = link.watched, self._snare, None
                if call and snare and not data.startswith(b"-"):  # an error: it hasn't run
                    self._snare = None
                    link.keep(link.below, data)
                    snare.act(call)
                elif link.passes.is_set():
                    link.below.write(data)
                else:
                    link.keep(link.below, data)
        link.below.close()


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _pack(words: list[bytes]) -> bytes:
    return b"*%d\r\n%b" % (len(words), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]))


def _script_names() -> dict[bytes, str]:
    """Name all scripts by what Redis is asked for."""
    names = {}
    for scripts in (log_script, worker_script):
        for name in script_names(scripts):
            digest = hashlib.sha1(scripts(name).encode(), usedforsecurity=False)
            names[digest.hexdigest().encode()] = name
    return names
