"""One `tailrace up` for all pages, the folder that a page's blocks are run in, and the processes that they leave running."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from tests.docs.pages import Block
from tests.support.ports import free_port
from tests.support.wait import wait_until_sync

_UP_S, _BLOCK_S, _END_S = 60, 30, 15
_PORTS = ("--edge-port", "--edge-port", "--ingest-port", "--console-port")
_NAMES = {"edge-1": "8000", "edge-2": "8010", "ingest": "8001", "console": "8002"}
"""The ports that the documents print."""
_REDIS = "redis://127.0.0.1:6379/0"
_LISTENS = re.compile(r"event: connect|running on http|Listening at: http|message")


class System:
    """A running `tailrace up`, with all functions of the documents."""

    def __init__(self, folder: Path, functions: dict[str, str]) -> None:
        for file, code in functions.items():
            (folder / file).write_text(code)
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")}
        self.environ |= {"XDG_RUNTIME_DIR": str(folder), "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"}
        self._free = {"8900": free_port(), "8910": free_port(), "8003": free_port(), "8004": free_port()}
        ports = ["--redis-port", str(free_port()), *[word for flag in _PORTS for word in (flag, "0")]]
        ports += [word for port in ("8900", "8910") for word in ("--metrics-port", str(self._free[port]))]
        modules = [word for file in functions for word in ("--functions", file.removesuffix(".py"))]
        self._log = folder / "up.log"
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "tailrace.cli", "up", *ports, *modules]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environ, cwd=folder)
        self._addresses: dict[str, str] = {}

    def printed(self, code: str) -> str:
        """Put this system's addresses in the place of those that the documents print."""
        return re.sub("|".join(rf"{re.escape(each)}\b" for each in self._addresses), lambda found: self._addresses[found[0]], code)

    def __enter__(self) -> Self:
        wait_until_sync(lambda: "All is up" in self._log.read_text() or self._process.poll() is not None, _UP_S)
        log = self._log.read_text()
        redis = re.search(r"Redis is (redis://\S+)\.", log)
        assert redis, log
        self._addresses = {_REDIS: redis[1], **{port: str(free) for port, free in self._free.items()}}
        for name, port in _NAMES.items():
            found = re.search(rf"^{name} .*ready on http://\S+:(\d+)$", log, re.MULTILINE)
            assert found, log
            self._addresses[port] = found[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(_END_S)


class Reader:
    """Follows a page: runs its blocks in one folder, as somebody would who reads it."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system, self._folder = system, folder
        self._running: list[tuple[subprocess.Popen[bytes], Path]] = []
        (folder / ".venv").symlink_to(sys.prefix)

    def follow(self, block: Block, shown: Block | None = None) -> None:
        """Run a block, or start it if it is to go on running; `shown` is what the page says that it prints."""
        code = self._system.printed(block.code)
        if block.language == "python":
            file = block.file or f"line_{block.line}.py"
            (self._folder / file).write_text(code)
            self._run([sys.executable, file])
        elif block.language == "sh" and block.mark == "running":
            self._start(["bash", "-euc", f"exec {code}"])
        elif block.language == "sh":
            said = self._run(["bash", "-euc", code])
            if shown:
                assert json.loads(shown.code).items() <= json.loads(said).items(), said
            else:
                assert '"status":"error"' not in said or "as expected" in said, said

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=self._folder, env=self._system.environ, capture_output=True, text=True, timeout=_BLOCK_S, check=False
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _start(self, command: list[str]) -> None:
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as output:
            process = subprocess.Popen(command, cwd=self._folder, env=self._system.environ, stdout=output, stderr=output)
        shown = Path(output.name)
        self._running.append((process, shown))
        wait_until_sync(lambda: process.poll() is not None or _LISTENS.search(shown.read_text()), _BLOCK_S)
        assert process.poll() is None, f"{command[-1]}\n{shown.read_text()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process, _shown in self._running:
            process.send_signal(signal.SIGINT)
        for process, shown in self._running:
            process.wait(_END_S)
            said = shown.read_text()
            assert "Traceback" not in said, said
            assert said.count("event: ") != 1, "the stream began, and nothing came"
