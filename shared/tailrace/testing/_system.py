"""A whole tailrace as one child process: `tailrace up` on free ports."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tailrace.testing._listener import Listener

_PORTS = ("--edge-port", "--metrics-port", "--ingest-port", "--console-port")
_READY = re.compile(r"^(?P<service>[\w-]+) +\| tailrace \w+ ready on (?P<url>http://\S+)$", re.MULTILINE)
_REDIS = re.compile(r"Redis is (redis://\S+)\. ")
_TAKEN = "is taken; choose another"
_STARTS = 3
_END_S = 20
_POLL_S = 0.05


class NotStartedError(Exception):
    """The system did not start; the message holds what its processes printed."""


class _PortTakenError(NotStartedError):
    """Another process took a port between the moment it was found free and the moment a service listened."""


class System:
    """A Valkey, an edge, a worker and ingest, from `with` to the end of its block.

    It uses free ports and a temporary folder. Commands of other terminals don't find it, so a running `tailrace up` is left alone.
    """

    def __init__(self, functions: Sequence[str] = (), *, start_s: float = 60) -> None:
        """Name the modules with functions for the worker, and how many seconds the start may take."""
        self._functions, self._start_s = functions, start_s
        self._stack = ExitStack()
        self._urls: dict[str, str] = {}
        self.redis_url = ""
        """For `Pusher` and `EdgeConfig(redis=...)`."""

    @property
    def edge_url(self) -> str:
        """Where streams are: `{edge_url}/sse`."""
        return self._urls["edge-1"]

    @property
    def ingest_url(self) -> str:
        """Where pushes go over HTTP: `{ingest_url}/push`."""
        return self._urls["ingest"]

    def listen(self, *channels: str, client_id: str = "", cursor: str = "") -> Listener:
        """Open a stream, as a browser would; it is connected, and registered, when this returns. Use it in a `with`."""
        return Listener(self.edge_url, channels, client_id=client_id, cursor=cursor)

    def __enter__(self) -> Self:
        """Start; with other ports if one was taken meanwhile. Raises NotStartedError."""
        for _ in range(_STARTS - 1):
            try:
                return self._started()
            except _PortTakenError:
                continue
        return self._started()

    def _started(self) -> Self:
        with self._stack:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tailrace-testing-", ignore_cleanup_errors=True)))
            log = folder / "up.log"
            process = self._start(folder, log)
            self._stack.callback(_end, process)
            self._wait(process, log)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, folder: Path, log: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tailrace.cli", "up", "--redis-port", str(_free_port()), "--drain-s", "0.1"]
        command += [word for flag in _PORTS for word in (flag, "0")]
        command += [word for module in self._functions for word in ("--functions", module)]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")}
        environ["XDG_RUNTIME_DIR"] = str(folder)
        with log.open("wb") as output:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environ)  # noqa: S603 - ours

    def _wait(self, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + self._start_s
        while not (redis := _REDIS.search(text := log.read_text(errors="replace"))):
            if process.poll() is not None or time.monotonic() > deadline:
                kind = _PortTakenError if _TAKEN in text else NotStartedError
                raise kind(f"tailrace up did not start within {self._start_s:g} s:\n{text}")
            time.sleep(_POLL_S)
        self.redis_url = redis[1]
        self._urls = {found["service"]: found["url"] for found in _READY.finditer(text)}


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
