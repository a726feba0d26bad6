"""`tailrace up` from end to end: real processes, killed one by one, found by the other commands, and stopped without a trace."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from ctypes.util import find_library
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tailrace.cli import SettingsError, _up, bind, main
from tests.support.ports import free_port
from tests.support.wait import wait_until_sync

pytestmark = pytest.mark.timeout(120)
FUNCTIONS = """
from tailrace.worker import Event, function
import msgspec

class Greeting(msgspec.Struct):
    name: str

@function
def greet(greeting: Greeting) -> Event:
    return Event("room:1", {"text": f"Hello {greeting.name}"})
"""
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


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    (folder / "greetings.py").write_text(FUNCTIONS)
    running = Up(folder, "--functions", "greetings")
    try:
        running.until("try in two other terminals:")
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def test_all_get_ready_and_say_where_they_are(up: Up) -> None:
    ready = sorted(line.split()[0] for line in up.log.splitlines() if "| tailrace" in line and " ready" in line)
    assert ready == [name for name in NAMES if name != "valkey"]
    assert f"curl -N {up.url('edge-1')}/sse" in up.log
    assert len(up.children()) == len(NAMES)


def test_a_push_reaches_both_edges(up: Up) -> None:
    """What the first page of the README says: a stream from both edges, and a push."""
    with ExitStack() as stack:
        streams = [stack.enter_context(_opened(f"{up.url(edge)}/sse")) for edge in ("edge-1", "edge-2")]
        assert all("event: connect" in _read_until(stream, "data: ") for stream in streams)
        pushed = up.run("push", "--to", "all", "--event", "message", '{"hello": "world"}')
        assert pushed.returncode == 0, pushed.stderr
        assert json.loads(pushed.stdout)["recipients"] == 2
        assert all('"hello":"world"' in _read_until(stream, "hello") for stream in streams)
        assert up.run("clients").stdout.splitlines()[-1] == "2 clients on 2 edges"


def _opened(url: str, body: bytes | None = None) -> HTTPResponse:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"} if body else {})  # noqa: S310 - ours
    response: HTTPResponse = urllib.request.urlopen(request, timeout=10)  # noqa: S310 - likewise
    return response


def _read_until(stream: HTTPResponse, text: str) -> str:
    read = ""
    while text not in read:
        line = stream.readline()
        assert line, f"the stream ended after {read!r}"
        read += line.decode()
    return read


def test_valkey_has_the_machines_jemalloc(up: Up) -> None:
    library = find_library("jemalloc")
    if library is None:
        pytest.skip("this machine has no jemalloc")
    assert f"/{library}" in Path(f"/proc/{up.children()['valkey']}/maps").read_text()


def test_other_commands_find_it(up: Up) -> None:
    pushed = up.run("push", "--to", "room:1", "--text", "hi")
    assert json.loads(pushed.stdout)["status"] == "success"
    doctor = up.run("doctor", "--url", f"{up.url('edge-1')}/sse")
    assert doctor.returncode == 0
    assert "ok       workers: 1" in doctor.stdout
    assert "ok       events come through at once" in doctor.stdout
    assert up.run("dead", "list").stdout.splitlines()[-1] == "0 dead letters"


def test_a_function_is_called(up: Up) -> None:
    called = up.run("call", "greet", '{"name": "Ada"}')
    assert called.returncode == 0, called.stderr
    assert '"text":"Hello Ada"' in called.stdout


def test_what_cannot_be_called_is_a_dead_letter_that_can_be_redriven(up: Up) -> None:
    called = up.run("call", "nobody", "{}")
    assert called.returncode == 1
    (line,) = up.run("dead", "list", "--json").stdout.splitlines()
    letter = json.loads(line)
    assert letter["function"] == "nobody"
    assert up.run("dead", "redrive", letter["id"]).returncode == 0
    wait_until_sync(lambda: up.run("dead", "list").stdout.splitlines()[-1] == "1 dead letter")
    assert up.run("dead", "purge", "--all").stdout == "1 deleted\n"


def test_ingest_answers(up: Up) -> None:
    with _opened(f"{up.url('ingest')}/push", b'{"to": "room:1", "data": {"text": "hi"}}') as response:
        assert json.load(response)["status"] == "success"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_killed_is_started_again_where_it_was(up: Up, name: str) -> None:
    before = up.children()
    port = f":{up.url(name).rpartition(':')[2]}" if name not in ("valkey", "worker") else ""
    key = name.partition("-")[0] + port
    said, ready = up.log.count(f"{name:<8} | ended by SIGKILL"), up.log.count(" ready")
    os.kill(before[key], signal.SIGKILL)
    up.until(f"{name:<8} | ended by SIGKILL", said + 1)
    wait_until_sync(lambda: up.children().get(key, before[key]) != before[key], 20)
    assert {other: pid for other, pid in up.children().items() if other != key} == {
        other: pid for other, pid in before.items() if other != key
    }
    if name != "valkey":
        up.until(" ready", ready + 1)
    wait_until_sync(lambda: '"status":"success"' in up.run("push", "--to", "room:1", "1").stdout, 20)


def test_ctrl_c_stops_all_and_leaves_nothing(up: Up) -> None:
    """Runs last: what the tests above share ends here."""
    children = list(up.children().values())
    data = Path(f"/proc/{up.children()['valkey']}/cwd").readlink()
    assert data.name.startswith("tailrace-")
    assert up.stop() == 0, up.log
    assert alive(children) == []
    assert not data.exists()
    assert list((Path(up.environ["XDG_RUNTIME_DIR"]) / "tailrace").iterdir()) == []


def test_data_outlives_it(tmp_path: Path) -> None:
    for arguments in (["push", "--to", "room:1", "--text", "kept"], []):
        running = Up(tmp_path, "--data", str(tmp_path / "data"))
        try:
            running.until("try in two other terminals:")
            if arguments:
                assert running.run(*arguments).returncode == 0
                assert running.run("up", *ANY_PORTS, "--data", str(tmp_path / "data")).returncode == 2
            else:
                assert "kept" in _tailed(running)
            assert running.stop(signal.SIGTERM) == 0
        finally:
            running.process.kill()
            running.process.wait()


def _tailed(running: Up) -> str:
    command = [sys.executable, "-m", "tailrace.cli", "tail", "--last", "10"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=running.environ) as tail:
        assert tail.stdout is not None
        line = tail.stdout.readline()
        tail.terminate()
    return line


def test_killed_itself_it_leaves_no_process(tmp_path: Path) -> None:
    running = Up(tmp_path)
    running.until("try in two other terminals:")
    children = list(running.children().values())
    assert len(children) == len(NAMES)
    running.process.kill()
    running.process.wait()
    wait_until_sync(lambda: not alive(children), 20)


def test_taken_port_is_named_with_its_flag(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        running = Up(tmp_path, "--ingest-port", port)
        assert running.process.wait(20) == 2
    assert f"tailrace up: --ingest-port: port {port} on 127.0.0.1 is taken" in running.log


def test_valkey_has_the_port_that_everything_looks_at_unless_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_up, "_REDIS_PORT", free_port())
    with _up._valkeys_own(0) as first:
        assert first.getsockname()[1] == _up._REDIS_PORT
        with _up._valkeys_own(0) as second:
            assert second.getsockname()[1] != _up._REDIS_PORT
        with pytest.raises(SettingsError, match=rf"--redis-port: port {_up._REDIS_PORT} .* is taken"):
            _up._valkeys_own(_up._REDIS_PORT)


def test_what_cannot_start_ends_all_with_its_reason(tmp_path: Path) -> None:
    running = Up(tmp_path, "--functions", "no_such_module")
    assert running.process.wait(40) == 1
    assert "no_such_module" in running.log
    assert "tailrace up: worker could not start" in running.log


def test_listening_everywhere_the_page_finds_all_where_it_was_found_itself(tmp_path: Path) -> None:
    """By this machine's name, as from another machine."""
    running = Up(tmp_path, "--host", "0.0.0.0")
    try:
        running.until("try in two other terminals:")
        host = socket.gethostname()
        page = running.url("console").replace("0.0.0.0", host)
        with _opened(f"{page}/config.json") as answer:
            told = json.load(answer)
        assert told["ingest"] == running.url("ingest").replace("http://0.0.0.0", f"//{host}")
        for address, path in ((told["edges"][0], "/sse"), (told["ingest"], "/healthz")):
            request = urllib.request.Request(f"http:{address}{path}", headers={"Origin": page.lower()})  # noqa: S310 - ours
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - likewise
                assert answer.headers["Access-Control-Allow-Origin"] == page.lower()
        assert running.stop(signal.SIGTERM) == 0
    finally:
        running.process.kill()
        running.process.wait()


def test_a_data_folder_that_cannot_be_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "data"):
        assert main(["up", *ANY_PORTS, "--data", str(folder)]) == 2
        assert f"--data: {folder} can't be used" in capsys.readouterr().err


def test_ports_that_no_edge_has_a_use_for_may_be_taken() -> None:
    with bind("127.0.0.1", 0) as taken:
        config = _up._with_ports(_up.UpConfig(edge_port=(0,), metrics_port=(0, taken.getsockname()[1]), ingest_port=0, console_port=0))
    assert len(config.metrics_port) == 1
