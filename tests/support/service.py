"""tailrace's own commands as real processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Self

from tests.support.folder import temporary_folder

_READY = re.compile(r"ready(?: on (http://\S+))?$")
_READY_S = 40
_END_S = 30
_LISTENERS = ("edge", "ingest", "console")


class Service:
    """`tailrace <command> ...` on a free port, from its ready line to its end.

    Commands that listen get `--port 0` unless the arguments name a port; `python` is another environment's interpreter.
    """

    def __init__(
        self, command: str, *arguments: str, environ: Mapping[str, str] | None = None, python: str | Path = sys.executable
    ) -> None:
        port = ("--port", "0") if command in _LISTENERS and "--port" not in arguments else ()
        self._command = (str(python), "-m", "tailrace.cli", command, *port, *arguments)
        self._environ = {**os.environ, **(environ or {})}
        self._folder = temporary_folder("tailrace-service-")
        self._process: subprocess.Popen[str] | None = None
        self.stdout: list[str] = []
        self.url = ""

    @property
    def pid(self) -> int:
        return self._started().pid

    @property
    def stderr(self) -> str:
        return self._stderr_path.read_text(errors="replace")

    @property
    def returncode(self) -> int | None:
        """Exit status, or None while the process runs."""
        return self._started().poll()

    def start(self) -> None:
        """Start and wait for the ready line; `returncode` tells whether it has ended since. A service that ended can be started again."""
        ready: Future[bool] = Future()  # this start's own: a reader of an earlier process may still be at work
        with self._stderr_path.open("ab") as errors:
            self._process = subprocess.Popen(self._command, env=self._environ, stdout=subprocess.PIPE, stderr=errors, text=True)
        self._reader = threading.Thread(target=self._read_stdout, args=(self._process, ready), daemon=True)
        self._reader.start()
        if not _within(ready, _READY_S):
            self.kill()
            raise RuntimeError(f"{' '.join(self._command)} did not get ready:\n{self.stderr}")

    def kill(self) -> None:
        """End the process as `kill -9` does."""
        self._started().kill()
        self._finish()

    def terminate(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """End the process by a signal and give its exit status."""
        self._started().send_signal(with_signal)
        return self._finish()

    def wait(self, timeout_s: float = _END_S) -> int:
        """Give the exit status of a process that ends by itself."""
        return self._started().wait(timeout_s)

    def _finish(self) -> int:
        status = self.wait()
        self._reader.join(_END_S)
        return status

    def _read_stdout(self, process: subprocess.Popen[str], ready: Future[bool]) -> None:
        if process.stdout is None:
            return
        with process.stdout:
            for line in process.stdout:
                self.stdout.append(line.rstrip("\n"))
                if not ready.done() and (match := _READY.search(self.stdout[-1])):
                    self.url = match[1] or ""
                    ready.set_result(True)
        if not ready.done():  # it ended, or closed its output, without a ready line
            ready.set_result(False)

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the service was not started")
        return self._process

    @property
    def _stderr_path(self) -> Path:
        return self._folder / "stderr"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.returncode is None:
            if "COVERAGE_PROCESS_CONFIG" in os.environ:
                self.terminate()  # a killed process loses what it has counted
            else:
                self.kill()
        shutil.rmtree(self._folder)


def hurried(*command: str) -> Service:
    """Give a service whose clients have half a second for a request's head."""
    program = (
        "from tailrace.cli import main\nfrom tailrace.service import _http_bounds\n_http_bounds.HEAD_S = 0.5\nraise SystemExit(main())"
    )
    service = Service(*command)
    service._command = (sys.executable, "-c", program, *service._command[3:])
    return service


def _within(ready: Future[bool], seconds: float) -> bool:
    try:
        return ready.result(seconds)
    except TimeoutError:
        return False
