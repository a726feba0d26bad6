"""A `tailrace up` that runs, as its user sees it."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from http.client import HTTPResponse
from pathlib import Path

from tests.support.ports import free_port
from tests.support.wait import wait_until_sync

ANY_PORTS = (
    "--edge-port",
    "0",
    "--edge-port",
    "0",
    "--metrics-port",
    "0",
    "--metrics-port",
    "0",
    "--ingest-port",
    "0",
    "--console-port",
    "0",
)
NAMES = ["console", "edge-1", "edge-2", "ingest", "valkey", "worker"]


class Up:
    """A running `tailrace up` with a runtime folder of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")}
        self.environ |= {"XDG_RUNTIME_DIR": str(folder), "TMPDIR": str(folder)}  # killed, it can't remove what it has made
        self._log = folder / "up.log"
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "tailrace.cli", "up", "--redis-port", str(free_port()), *ANY_PORTS, *arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environ, cwd=folder)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def until(self, text: str, times: int = 1) -> None:
        wait_until_sync(lambda: self.log.count(text) >= times or self.process.poll() is not None, 30)
        assert self.log.count(text) >= times, self.log

    def url(self, name: str) -> str:
        (line,) = [line for line in self.log.splitlines() if line.startswith(name) and " ready on " in line][:1]
        return line.rpartition(" ")[2]

    def children(self) -> dict[str, int]:
        """Give the number of each process by a word of its command."""
        pid = self.process.pid
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {_name(Path(f"/proc/{child}/cmdline").read_text().split("\0")): int(child) for child in found}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tailrace.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=self.environ, check=False)

    def stop(self, with_signal: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(with_signal)
        return self.process.wait(40)


def _name(words: Sequence[str]) -> str:
    if "valkey-server" in words[0]:
        return "valkey"
    service = words[words.index("tailrace.cli") + 1] if "tailrace.cli" in words else " ".join(words)
    return f"{service}:{words[words.index('--port') + 1]}" if "--port" in words else service


def alive(pids: Sequence[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def opened(url: str, body: bytes | None = None) -> HTTPResponse:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"} if body else {})  # noqa: S310 - ours
    response: HTTPResponse = urllib.request.urlopen(request, timeout=10)  # noqa: S310 - likewise
    return response
