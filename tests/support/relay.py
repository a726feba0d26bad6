"""A relay before a server, which new connections may be led elsewhere by while old ones stay where they are."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self


@dataclass(eq=False)
class Line:
    """One connection through the relay."""

    sent: bytearray = field(default_factory=bytearray)
    """What the client has sent first, some KB of it."""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Relay:
    """Listens on a free port of 127.0.0.1, and leads each connection to where `port` is when it comes; bytes take `delay_s` each way."""

    def __init__(self, port: int, delay_s: float = 0) -> None:
        self.port, self._delay_s = port, delay_s
        self.silent: Callable[[Line], bool] = lambda _: False
        """Whose answers are thrown away."""
        self._lines: set[Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def move(self, port: int, stays: Callable[[Line], bool]) -> None:
        """Lead elsewhere from now on, and cut the connections that don't stay."""
        self.port = port
        for line in list(self._lines):
            if not stays(line):
                line.cut()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for line in list(self._lines):
            line.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(writers=[writer])
        self._lines.add(line)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self.port)
            line.writers.append(onward)
            await asyncio.gather(self._pump(reader, onward, line.sent), self._pump(there, writer, bytearray(), lambda: self.silent(line)))
        except OSError:
            pass
        finally:
            line.cut()
            self._lines.discard(line)

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, copy: bytearray, silent: Callable[[], bool] = lambda: False
    ) -> None:
        while data := await source.read(1 << 16):
            if len(copy) < 1 << 14:
                copy += data
            if silent():
                continue
            if self._delay_s:
                asyncio.get_running_loop().call_later(self._delay_s, target.write, data)
            else:
                target.write(data)
                await target.drain()
        target.close()
