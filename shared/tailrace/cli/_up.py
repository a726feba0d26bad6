"""`tailrace up`: all of tailrace on one machine, as separate processes under one roof."""

import argparse
import asyncio
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated

import msgspec

from tailrace.cli._child import Child, FailedError
from tailrace.cli._merge import Merged
from tailrace.cli._runfile import Running, published, runtime_folder
from tailrace.cli._valkey import claimed, until_it_answers, valkey_command, valkey_environ
from tailrace.service import Command, SettingsError, add_settings, bind, check_origins, http_address, own_names, read_settings

_READY = re.compile(r"^tailrace (?P<service>\w+) ready(?: on http://(?P<host>\S+):(?P<port>\d+))?$")
_DEMO = "tailrace.demo"  # the source of the demo page's dashboard
_LOOPBACK, _REDIS_PORT = "127.0.0.1", 6379
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
_FUNCTION_WAIT = "TAILRACE_FUNCTION_WAIT_S"
_OVERCOMMIT = "Memory overcommit must be enabled"  # matters only for snapshots of a Redis that fills its machine
_EPILOG = """
examples:
  tailrace up
  tailrace up --data ./data                          # keep events across restarts
  tailrace up --functions shop.handlers              # run your own functions, too
  tailrace up --origins http://localhost:5173        # let a page of your own connect and push
  tailrace up --edge-port 9000 --edge-port 9010 --ingest-port 9001 --console-port 9002

Then, in another terminal:
  curl -N http://127.0.0.1:8000/sse
  tailrace push --to all '{"hello": "world"}'
"""


Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class UpConfig(msgspec.Struct, frozen=True):
    host: Annotated[str, msgspec.Meta(description="Address to listen on; 0.0.0.0 accepts connections from other machines.")] = "127.0.0.1"
    edge_port: Annotated[tuple[Port, ...], msgspec.Meta(description="Port of an edge; repeatable, one per edge.")] = (8000, 8010)
    metrics_port: Annotated[tuple[Port, ...], msgspec.Meta(description="Port of an edge's metrics, in the same order.")] = (8900, 8910)
    ingest_port: Annotated[Port, msgspec.Meta(description="Port of ingest.")] = 8001
    console_port: Annotated[Port, msgspec.Meta(description="Port of the demo page.")] = 8002
    redis_port: Annotated[Port, msgspec.Meta(description="Port of Valkey; 0 chooses 6379 if it is free, else another.")] = 0
    data: Annotated[str, msgspec.Meta(description="Folder for Valkey's data; if unset, a temporary one.")] = ""
    functions: Annotated[tuple[str, ...], msgspec.Meta(description="Module with functions for the worker; repeatable.")] = ()
    origins: Annotated[tuple[str, ...], msgspec.Meta(description="Origins of your own pages, besides the demo page's; * allows any.")] = ()
    drain_s: Annotated[float, msgspec.Meta(description="Seconds over which an edge disconnects its clients at shutdown.", ge=0)] = 1
    hosts: Annotated[tuple[str, ...], msgspec.Meta(description="Further host name that ingest and the demo page answer to.")] = ()
    allow_anonymous_push: Annotated[
        bool, msgspec.Meta(description="Accept pushes without a token although other machines can connect (--host).")
    ] = False
    prefix: Annotated[str, msgspec.Meta(description="Prefix of all keys in Redis.")] = "tailrace"

    def __post_init__(self) -> None:
        check_origins(self.origins)


def _configure(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, UpConfig)


def _run(arguments: argparse.Namespace) -> int:
    config = read_settings(UpConfig, arguments)
    runtime_folder()  # fail now if it can't be used, not when everything runs
    with ExitStack() as stack:
        config = _with_ports(config)
        data = Path(config.data or stack.enter_context(tempfile.TemporaryDirectory(prefix="tailrace-", ignore_cleanup_errors=True)))
        stack.enter_context(claimed(data))
        return asyncio.run(_House(config, data.resolve()).live())


def _with_ports(config: UpConfig) -> UpConfig:
    """Check that all ports are free, and choose one for each 0, so that a restarted process keeps its port."""
    with ExitStack() as stack:

        def chosen(flag: str, port: int) -> int:
            number: int = stack.enter_context(bind(config.host, port, flag)).getsockname()[1]
            return number

        return msgspec.structs.replace(
            config,
            edge_port=tuple([chosen("--edge-port", port) for port in config.edge_port]),
            metrics_port=tuple([chosen("--metrics-port", port) for port in config.metrics_port[: len(config.edge_port)]]),
            ingest_port=chosen("--ingest-port", config.ingest_port),
            console_port=chosen("--console-port", config.console_port),
            redis_port=stack.enter_context(_valkeys_own(config.redis_port)).getsockname()[1],
        )


def _valkeys_own(port: int) -> socket.socket:
    """Choose Valkey's port: 6379, which everything uses by default, unless a Redis listens there already."""
    with socket.socket() as probe:  # on macOS, bind would succeed and shadow a server that listens on all addresses
        found = port or probe.connect_ex((_LOOPBACK, _REDIS_PORT)) == 0
    if not found:
        with suppress(SettingsError):
            return bind(_LOOPBACK, _REDIS_PORT)
    return bind(_LOOPBACK, port, "--redis-port", "0 chooses 6379 if it is free, else another")


class _House:
    """All processes of one `up`. Valkey starts first and stops last."""

    def __init__(self, config: UpConfig, data: Path) -> None:
        self._config = config
        self._redis = f"redis://{_LOOPBACK}:{config.redis_port}/0"
        self._merged = Merged()
        self._valkey = Child(
            "valkey", valkey_command(config.redis_port, data), self._merged.line, _never, valkey_environ(), unsaid=_OVERCOMMIT
        )
        self._services = [
            *(self._edge(number, port) for number, port in enumerate(config.edge_port)),
            self._ingest(),
            self._console(),
            self._worker(),
        ]
        self._urls: dict[str, str] = {}
        self._stop = asyncio.Event()

    async def live(self) -> int:
        """Run all processes until a signal, or until one fails to start. Returns the exit status."""
        self._on_signals(self._stop.set)
        keeper = asyncio.create_task(self._keep_all())
        await self._stop.wait()
        self._on_signals(self._kill)
        await asyncio.gather(*(service.stop() for service in self._services))
        await self._valkey.stop()
        keeper.cancel()
        try:
            await keeper
        except asyncio.CancelledError:
            return 0
        except ExceptionGroup as group:
            return _reported(group)
        return 0

    async def _keep_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._valkey.keep())
                await until_it_answers(self._redis)
                self._valkey.ready.set()
                for service in self._services:
                    group.create_task(service.keep())
                group.create_task(self._tell())
        finally:
            self._stop.set()

    async def _tell(self) -> None:
        """Once all are ready, publish the addresses and print what to try."""
        for service in self._services:
            await service.ready.wait()
        with published(Running(self._redis, self._config.prefix)):
            print(self._advice(), flush=True)
            await self._stop.wait()

    def _on_signals(self, call: Callable[[], None]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, call)

    def _kill(self) -> None:
        for child in (*self._services, self._valkey):
            child.kill()

    def _edge(self, number: int, port: int) -> Child:
        metrics = _repeated("--metrics-port", self._config.metrics_port[number : number + 1])
        options = ["--drain-s", str(self._config.drain_s), *metrics, *self._origins()]
        return self._listener(f"edge-{number + 1}", "edge", port, *options)

    def _console(self) -> Child:
        config = self._config
        edges = _repeated("--edge-url", [f":{port}" for port in config.edge_port])  # on the host in the page's own address
        return self._listener("console", "console", config.console_port, *edges, "--ingest-url", f":{config.ingest_port}", *self._hosts())

    def _ingest(self) -> Child:
        config = self._config
        anonymous = ["--allow-anonymous-push"] if config.allow_anonymous_push else []
        return self._listener("ingest", "ingest", config.ingest_port, *anonymous, *self._origins(), *self._hosts())

    def _hosts(self) -> list[str]:
        return _repeated("--hosts", self._config.hosts)

    def _worker(self) -> Child:
        # The only worker has all functions, so a call of any other becomes a dead letter at once.
        wait = [] if os.environ.get(_FUNCTION_WAIT) else ["--function-wait-s", "0"]
        return self._service("worker", "worker", *wait, *_repeated("--functions", [_DEMO, *self._config.functions]))

    def _origins(self) -> list[str]:
        """Return flags that allow the user's pages, and the demo page under each name of this machine."""
        host, port = self._config.host, self._config.console_port
        names = own_names() if host in _ANYWHERE else [host]
        demo = [http_address(name, port) for name in ("127.0.0.1", "localhost", *names)]
        return _repeated("--origins", dict.fromkeys([*self._config.origins, *demo]))

    def _listener(self, name: str, service: str, port: int, *options: str) -> Child:
        return self._service(name, service, "--host", self._config.host, "--port", str(port), *options)

    def _service(self, name: str, service: str, *arguments: str) -> Child:
        return Child(
            name,
            [sys.executable, "-P", "-m", "tailrace.cli", service, *arguments],  # -P: modules in the current folder shadow none
            self._merged.line,
            self._heard(name),
            environ={
                "TAILRACE_REDIS_URL": self._redis,
                "TAILRACE_QUEUE_URL": self._redis,
                "TAILRACE_PREFIX": self._config.prefix,
            },
            stop_s=self._config.drain_s + 10,
        )

    def _heard(self, name: str) -> Callable[[str], bool]:
        def is_ready(line: str) -> bool:
            match = _READY.match(line)
            if match and match["port"]:
                self._urls[name] = f"http://{match['host']}:{match['port']}"
            return match is not None

        return is_ready

    def _advice(self) -> str:
        edge, page = self._urls["edge-1"], self._urls["console"]
        return (
            f"\nAll is up; Redis is {self._redis}. Press Ctrl-C to stop. Open {page} in a browser, or try in two other terminals:\n\n"
            f"    curl -N {edge}/sse\n"
            f'    {_own_name()} push --to all --event message \'{{"hello": "world"}}\'\n'
        )


def _repeated(flag: str, values: Iterable[object]) -> list[str]:
    return [word for value in values for word in (flag, str(value))]


def _reported(group: ExceptionGroup[Exception]) -> int:
    failures, others = group.split(FailedError)
    if others is not None:
        raise others
    for failure in failures.exceptions if failures else ():
        print(f"tailrace up: {failure}", file=sys.stderr)
    return 1


def _never(_: str) -> bool:
    return False


def _own_name() -> str:
    """Return this command as the user's shell finds it."""
    script = Path(sys.executable).with_name("tailrace")
    on_path = any(Path(folder) == script.parent for folder in os.environ.get("PATH", "").split(os.pathsep) if folder)
    if on_path or not script.exists():
        return "tailrace"
    return os.path.relpath(script) if script.is_relative_to(Path.cwd()) else str(script)


COMMAND = Command("Run everything on this machine: Valkey, two edges, a worker, ingest and the demo page.", _configure, _run, _EPILOG)
