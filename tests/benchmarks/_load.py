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
_LONGEST_S = 45.0


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
        return msgspec.json.decode(await line(self._process), type=Counted)


@asynccontextmanager
async def load(
    folder: Path,
    port: int,
    path: str,
    connections: int,
    *,
    events: int,
    seconds: float = _LONGEST_S,
    cursor: str = "",
    channels: int = 0,
    at_once: int = 500,
) -> AsyncIterator[Load]:
    """Open connections, so many at a time and each in so many channels of its own besides; count so many events on each.

    Raises RuntimeError: some connections were closed or not answered in time.
    """
    words = [port, path, connections, events, seconds, cursor, channels, at_once]
    command = ["taskset", "-c", str(GENERATOR), compiled("sseload", folder), *map(str, words)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        connected = msgspec.json.decode(await line(process), type=Connected)
        if connected.connected < connections:
            raise RuntimeError(f"{connected.connected:,} of {connections:,} connections were answered within {seconds:.0f} s")
        yield Load(process, connected)
    finally:
        await _ended(process)


async def floor(folder: Path, port: int, connections: int, rate: float, seconds: float) -> tuple[FloorCounted, Counted]:
    """Measure what the kernel asks for, and what a client sees of it."""
    command = ["taskset", "-c", str(SERVER), compiled("floor", folder), *map(str, (port, connections, rate, seconds))]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        await asyncio.sleep(0.2)
        async with load(folder, port, "/", connections, events=1 << 20) as clients:
            counted = await clients.counted()
        return msgspec.json.decode(await line(process), type=FloorCounted), counted
    finally:
        await _ended(process)


@asynccontextmanager
async def following(folder: Path, port: int, log: str, after: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a reader that waits on a log, and says of each entry (`line`) how many milliseconds ago its time was. It may use any core."""
    command = ["taskset", "-c", f"{SERVER}-{GENERATOR}", compiled("follow", folder), str(port), log, after]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        await line(process)
        yield process
    finally:
        await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)  # asyncio's own kill() looks at the status, and so takes it from its watcher
    await process.wait()


async def line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    text = await asyncio.wait_for(process.stdout.readline(), _LONGEST_S * 2)
    if not text:
        raise RuntimeError("the load generator, the floor or the reader ended early")
    return text
