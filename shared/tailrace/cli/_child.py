"""One process that `tailrace up` keeps alive: its start, its lines, its death and its end."""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tailrace.service import RestartBackoff, exit_cause

_LINE_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1


class FailedError(Exception):
    """A process ended before it was ready for the first time: starting it again would not mend that."""


@dataclass
class Child:
    name: str
    command: Sequence[str]
    say: Callable[[str, str], None]
    """Takes the process' name and a line that it, or we about it, have to say."""
    is_ready: Callable[[str], bool]
    """Whether a line on stdout says that the process is ready."""
    environ: Mapping[str, str] = field(default_factory=dict)
    unsaid: str = ""
    """Lines that hold this are dropped."""
    stop_s: float = 15
    """How long it may take to end before it is killed."""

    def __post_init__(self) -> None:
        self.ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def keep(self) -> None:
        """Run the process, again and again until `stop` is called.

        Raises:
            FailedError: it ended before it was ever ready.
        """
        backoff = RestartBackoff()
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._run()
            if self._stopping.is_set():
                return
            if not self.ready.is_set():
                raise FailedError(f"{self.name} could not start (status {status}); its log above says why")
            delay_s = backoff.delay_s(time.monotonic() - began)
            self.say(self.name, f"exited {exit_cause(status)}; restarting in {delay_s} s")
            await asyncio.sleep(delay_s)

    async def stop(self) -> None:
        """End the process with SIGTERM, and with SIGKILL if it takes too long."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        _send(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(self.stop_s):
                await process.wait()
        except TimeoutError:
            self.say(self.name, f"did not end within {self.stop_s:g} s and is killed")
            _send(process, signal.SIGKILL)
            await process.wait()

    def kill(self) -> None:
        """End the process at once."""
        self._stopping.set()
        if self._process is not None:
            _send(self._process, signal.SIGKILL)

    async def _run(self) -> int:
        self._process = process = await asyncio.create_subprocess_exec(
            *self.command,
            env={**os.environ, **self.environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            start_new_session=True,  # Ctrl-C reaches `up` alone, which then ends all in order
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        if process.stdout is None or process.stderr is None:
            raise FailedError(f"{self.name} has no output to read")
        if self._stopping.is_set():  # while it was being started, so `stop` has missed it
            _send(process, signal.SIGTERM)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(process.stdout, self._spoken))
            group.create_task(self._read(process.stderr, self._logged))
        return await process.wait()

    async def _read(self, stream: asyncio.StreamReader, take: Callable[[str], None]) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line longer than the limit; asyncio has dropped it
                continue
            if not line:
                return
            take(line.decode(errors="replace").rstrip("\n"))

    def _spoken(self, line: str) -> None:
        self._logged(line)
        if self.is_ready(line):
            self.ready.set()

    def _logged(self, line: str) -> None:
        if not self.unsaid or self.unsaid not in line:
            self.say(self.name, line)


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)


def _end_with_parent() -> None:
    """Have the kernel end this process when `up` dies, however it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
