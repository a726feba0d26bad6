"""The load generator and the floor: C programs, compiled when they are needed."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from tests.benchmarks._process import GENERATOR, SERVER

_HERE = Path(__file__).parent
_LONGEST_S = 30.0


class Connected(msgspec.Struct, frozen=True):
    """All connections have their first bytes."""

    connected: int
    answered_s: float
    cpu_s: float


class Counted(msgspec.Struct, frozen=True):
    """What a load has counted."""

    closed: int
    events: int
    megabytes: float
    span_s: float
    cpu_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float


class FloorCounted(msgspec.Struct, frozen=True):
    published: int
    connections: int
    cpu_us_per_delivery: float


def compiled(name: str, folder: Path) -> str:
    """Compile a C program of this folder. Raises subprocess.CalledProcessError."""
    program = folder / name
    if not program.exists():
        subprocess.run(["cc", "-O2", "-o", str(program), str(_HERE / f"{name}.c")], check=True)
    return str(program)


class Load:
    """A running load."""

    def __init__(self, process: asyncio.subprocess.Process, connected: Connected) -> None:
        self._process, self.connected = process, connected

    async def counted(self) -> Counted:
        """Wait until all events have come, or the time is over."""
        return msgspec.json.decode(await _line(self._process), type=Counted)


@asynccontextmanager
async def load(
    folder: Path, port: int, path: str, connections: int, *, events: int, seconds: float = _LONGEST_S, cursor: str = "", channels: int = 0
) -> AsyncIterator[Load]:
    """Open connections, each in so many channels of its own besides, wait until all are answered, and count so many events on each."""
    words = [port, path, connections, events, seconds, cursor, channels]
    command = ["taskset", "-c", str(GENERATOR), compiled("sseload", folder), *map(str, words)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield Load(process, msgspec.json.decode(await _line(process), type=Connected))
    finally:
        await _ended(process)


async def floor(folder: Path, port: int, connections: int, rate: float, seconds: float) -> tuple[FloorCounted, Counted]:
    """Measure what the kernel asks for, and what a client sees of it."""
    command = ["taskset", "-c", str(SERVER), compiled("floor", folder), *map(str, (port, connections, rate, seconds))]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        await asyncio.sleep(0.2)
        async with load(folder, port, "/", connections, events=1 << 20, seconds=seconds + 4) as clients:
            counted = await clients.counted()
        return msgspec.json.decode(await _line(process), type=FloorCounted), counted
    finally:
        await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)  # asyncio's own kill() looks at the status, and so takes it from its watcher
    await process.wait()


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), _LONGEST_S * 2)
    if not line:
        raise RuntimeError("the load generator ended early")
    return line
