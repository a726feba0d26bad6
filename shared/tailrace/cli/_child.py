"""A process that `tailrace up` supervises: start, output, restart and stop."""

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
    """A process exited before it was ever ready, so restarting it would not help."""


@dataclass
class Child:
    name: str
    command: Sequence[str]
    say: Callable[[str, str], None]
    """Prints a line of the process, or about it; takes the process's name and the line."""
    is_ready: Callable[[str], bool]
    """Whether a line on stdout is the ready line."""
    environ: Mapping[str, str] = field(default_factory=dict)
    unsaid: str = ""
    """Lines that contain this are dropped."""
    stop_s: float = 15
    """Seconds from SIGTERM to SIGKILL."""

    def __post_init__(self) -> None:
        self.ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def keep(self) -> None:
        """Run the process, and restart it when it exits, until `stop` is called.

        Raises:
            FailedError: it exited before it was ever ready.
        """
        backoff = RestartBackoff()
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._run()
            if self._stopping.is_set():
                return
            if not self.ready.is_set():
                raise FailedError(f"{self.name} failed to start (status {status}); see its log above")
            delay_s = backoff.delay_s(time.monotonic() - began)
            self.say(self.name, f"exited {exit_cause(status)}; restarting in {delay_s} s")
            await asyncio.sleep(delay_s)

    async def stop(self) -> None:
        """Stop the process with SIGTERM, then with SIGKILL if it takes too long."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        _send(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(self.stop_s):
                await process.wait()
        except TimeoutError:
            self.say(self.name, f"did not stop within {self.stop_s:g} s; killing it")
            _send(process, signal.SIGKILL)
            await process.wait()

    def kill(self) -> None:
        """Kill the process."""
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
            start_new_session=True,  # Ctrl-C reaches only `up`, which stops all in order
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        if process.stdout is None or process.stderr is None:
            raise FailedError(f"{self.name} has no output to read")
        if self._stopping.is_set():  # `stop` was called during the start
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
    """Have the kernel send SIGTERM to this process when `up` dies, for whatever reason."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
