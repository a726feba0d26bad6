"""compose.yaml as processes: each service's own command and environment, with addresses and folders of this machine."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from tests.support.dns import NameServer
from tests.support.ports import free_port
from tests.support.proxy import Proxy, caddy, loopback, need
from tests.support.redis import executable
from tests.support.service import Service
from tests.support.wait import wait_until_sync

ROOT = Path(__file__).parents[2]
PORTS = {"edge": 8000, "ingest": 8001, "console": 8002}
Description = Mapping[str, Any]
_END_S = 10


def read_compose(environ: Mapping[str, str]) -> Any:
    """Read compose.yaml, with its variables filled in."""
    return _filled(yaml.safe_load((ROOT / "compose.yaml").read_text()), environ)


def _filled(node: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, environ) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(item, environ) for item in node]
    if not isinstance(node, str):
        return node
    return re.sub(r"\$(?:(\$)|\{(\w+):-([^}]*)\})", lambda match: match[1] or environ.get(match[2]) or match[3], node)


class Container:
    """A service's process that isn't tailrace's own."""

    def __init__(self, command: list[str], environ: Mapping[str, str], folder: Path) -> None:
        self._command, self._environ, self._folder = command, environ, folder

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environ, cwd=self._folder, stdout=log, stderr=log)

    def restart(self) -> None:
        """End it as a crash does, and start it again."""
        self.end()
        self.start()

    def end(self) -> None:
        self._process.kill()
        self._process.wait(_END_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


@dataclass
class Stack:
    caddy: Proxy
    edges: list[Service]
    valkey: Container
    redis_url: str
    healthy: dict[str, bool]
    """What each service's own health check said."""


class Engine:
    """Starts containers as processes, each in place of an address of 127.0.0.0/8."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self.services: Mapping[str, Description] = read_compose(environ)["services"]
        self.folder = folder
        self.valkey_port = free_port()
        self.ports = {name: free_port() for name in PORTS}
        self._metrics = str(free_port())
        need("redis-cli", "wget")
        self._bin = folder / "bin"
        self._bin.mkdir()
        (self._bin / "valkey-server").symlink_to(executable("valkey") or "")
        (self._bin / "valkey-cli").symlink_to(shutil.which("redis-cli") or "")

    def environ(self, name: str) -> dict[str, str]:
        given = {key: self._here(str(value)) for key, value in self.services[name]["environment"].items()}
        if "TAILRACE_METRICS_PORT" in given:
            given["TAILRACE_METRICS_PORT"] = self._metrics
        return {**given, "PATH": f"{self._bin}:{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def service(self, name: str, host: str = "127.0.0.1") -> Service:
        described = self.services[name]
        command = [word.replace("0.0.0.0", host) for word in described["command"]]
        port = ("--port", str(self.ports[name])) if name in PORTS else ()
        return Service(*command, *port, environ=self.environ(name) if "environment" in described else {})

    def valkey(self) -> Container:
        shell, flags, script = self.services["valkey"]["command"]
        (self.folder / "data").mkdir()
        script = script.replace("--dir /data", f"--dir {self.folder}/data --bind 127.0.0.1 --port {self.valkey_port}")
        return Container([shell, flags, script], self.environ("valkey"), self.folder)

    def healthy(self, name: str, host: str = "127.0.0.1", proxy: Proxy | None = None) -> bool:
        """Run a service's own health check."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        command = words[0] if kind == "CMD-SHELL" else shlex.join(words)
        for service, port in PORTS.items():
            command = command.replace(f"127.0.0.1:{port}", f"{host}:{self.ports[service]}")
        if proxy:
            command = command.replace("127.0.0.1:2019", proxy.admin)
        command = command.replace("valkey-cli", f"valkey-cli -p {self.valkey_port}")
        environ = self.environ(name) if "environment" in self.services[name] else dict(os.environ)
        return subprocess.run(command, shell=True, env=environ, capture_output=True, check=False).returncode == 0  # noqa: S602 - as Docker does

    def _here(self, text: str) -> str:
        return text.replace("@valkey:6379", f"@127.0.0.1:{self.valkey_port}")


@contextmanager
def running(environ: Mapping[str, str], *, edges: int, workers: int) -> Iterator[Stack]:
    """Run `docker compose up --scale edge=... --scale worker=...` as processes; all are ready."""
    with tempfile.TemporaryDirectory(prefix="tailrace-compose-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        engine = Engine(environ, Path(folder))
        valkey = stack.enter_context(engine.valkey())
        wait_until_sync(lambda: engine.healthy("valkey"), _END_S)
        hosts = loopback(edges)
        names = {"edge": hosts, "ingest": ["127.0.0.1"], "console": ["127.0.0.1"]}
        proxy = caddy(
            stack.enter_context(NameServer(names)).address,
            engine.ports,
            engine.services["caddy"]["command"],
            engine.environ("caddy"),
        )
        edge_services = [engine.service("edge", host) for host in hosts]
        others = [engine.service(name) for name in ("ingest", "console", *["worker"] * workers)]
        with ThreadPoolExecutor() as pool:
            list(pool.map(stack.enter_context, [*edge_services, *others, proxy]))
        with ThreadPoolExecutor() as pool:
            healthy = dict(zip(engine.services, pool.map(lambda name: _healthy(engine, name, proxy), engine.services), strict=True))
        yield Stack(proxy, edge_services, valkey, engine.environ("edge")["TAILRACE_REDIS_URL"], healthy)


def _healthy(engine: Engine, name: str, proxy: Proxy) -> bool:
    return engine.healthy(name, "127.0.0.2" if name == "edge" else "127.0.0.1", proxy)
