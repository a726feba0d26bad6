"""Several edges on one port: a parent that starts processes, starts the dead ones again, and ends with all of them.

The kernel spreads connections over their listeners (`SO_REUSEPORT`). The parent runs no loop, so that it can fork.
"""

import gc
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NamedTuple

from tailrace.service import RestartBackoff, bind, exit_cause

logger = logging.getLogger(__name__)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Member(NamedTuple):
    """What a process of a group knows of it."""

    number: int
    """From 0."""
    lifeline: int
    """A descriptor that can be read when the parent is gone."""
    ready: Callable[[], None]
    """To be called when it takes clients."""


@contextmanager
def reserved(host: str, port: int) -> Iterator[tuple[str, int]]:
    """Keep a port for processes that share it, and give its address. Raises SettingsError: it is taken, by whomever."""
    with bind(host, port) as alone, socket.socket(alone.family, socket.SOCK_STREAM) as reservation:
        address = alone.getsockname()
        alone.close()
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reservation.bind(address)  # it doesn't listen, and so gets no connections
        yield address[:2]


@dataclass
class _Process:
    number: int
    pid: int
    began: float
    pipe: int
    """Says that the process is ready, and ends when it does."""


class Group:
    """The parent's view of its processes."""

    def __init__(self, size: int, run: Callable[[Member], int], announce: Callable[[], None]) -> None:
        self._size, self._run, self._announce = size, run, announce
        self._processes: dict[int, _Process] = {}
        self._ready: set[int] = set()
        """Who was ever ready."""
        self._backoffs = [RestartBackoff() for _ in range(size)]
        self._due: dict[int, float] = {}
        """When the dead are started again."""
        self._stopping = False
        self._status = 0
        self._selector = selectors.DefaultSelector()
        self._lifeline, self._life = os.pipe()
        self._bell, self._ring = os.pipe()

    def keep(self) -> int:
        """Run until a signal, and return the exit status; the processes return, too, each from its own run."""
        os.set_blocking(self._ring, False)
        signal.set_wakeup_fd(self._ring)
        for number in _SIGNALS:
            signal.signal(number, self._pass_on)
        self._selector.register(self._bell, selectors.EVENT_READ)
        gc.collect()
        gc.freeze()  # so that what all have in common stays shared
        self._start(0)  # the others when it is ready: what is wrong is said once
        while self._processes or (self._due and not self._stopping):
            self._wait()
        return self._status

    def _wait(self) -> None:
        timeout = max(0, min(self._due.values()) - time.monotonic()) if self._due and not self._stopping else None
        for key, _ in self._selector.select(timeout):
            said = os.read(key.fd, 1)
            if isinstance(key.data, _Process):
                self._is_ready(key.data) if said else self._has_ended(key.data)
        for number in [number for number, due in self._due.items() if due <= time.monotonic()]:
            del self._due[number]
            self._start(number)

    def _start(self, number: int) -> None:
        if self._stopping:
            return
        pipe, tell = os.pipe()
        sys.stdout.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if not pid:
            self._be(Member(number, self._lifeline, lambda: _tell(tell)))
        self._processes[number] = process = _Process(number, pid, time.monotonic(), pipe)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(tell)
        self._selector.register(pipe, selectors.EVENT_READ, process)

    def _be(self, member: Member) -> None:
        """Become a process of the group; what it raises is told as if it had been alone."""
        os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which passes it on
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self._selector.close()
        for descriptor in (self._life, self._bell, self._ring, *[process.pipe for process in self._processes.values()]):
            os.close(descriptor)
        raise SystemExit(self._run(member))

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._stopping = True
        for process in self._processes.values():
            os.kill(process.pid, number)

    def _is_ready(self, process: _Process) -> None:
        first, complete = not self._ready, len(self._ready) == self._size
        self._ready.add(process.number)
        if first:
            for number in range(1, self._size):
                self._start(number)
        if len(self._ready) == self._size and not complete:
            self._announce()

    def _has_ended(self, process: _Process) -> None:
        self._selector.unregister(process.pipe)
        os.close(process.pipe)
        del self._processes[process.number]
        _, waited = os.waitpid(process.pid, 0)
        status = os.waitstatus_to_exitcode(waited)
        if self._stopping:
            self._status = self._status or (1 if status not in (0, -signal.SIGTERM, -signal.SIGINT) else 0)
        elif process.number in self._ready:
            self._put_off(process, status)
        else:
            self._status = status if status > 0 else 1
            self._pass_on(signal.SIGTERM, None)

    def _put_off(self, process: _Process, status: int) -> None:
        number = process.number
        pause_s = self._backoffs[number].delay_s(time.monotonic() - process.began)
        self._due[number] = time.monotonic() + pause_s
        logger.error("process %d (%d) ended %s; it is started again in %s s", number, process.pid, exit_cause(status), pause_s)


def _tell(pipe: int) -> None:
    os.write(pipe, b".")
