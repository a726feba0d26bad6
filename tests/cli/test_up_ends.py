"""`tailrace up`: what it starts from, what keeps it from starting, and its end."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tailrace.cli import _up, main
from tailrace.service import SettingsError, bind
from tests.cli.running import ANY_PORTS, NAMES, Up, alive, opened
from tests.support.ports import free_port
from tests.support.wait import wait_until_sync

pytestmark = pytest.mark.timeout(120)


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
    assert "tailrace up: worker failed to start" in running.log


def test_listening_everywhere_the_page_finds_all_where_it_was_found_itself(tmp_path: Path) -> None:
    """By this machine's name, as from another machine."""
    running = Up(tmp_path, "--host", "0.0.0.0", "--allow-anonymous-push")
    try:
        running.until("try in two other terminals:")
        host = socket.gethostname()
        page = running.url("console").replace("0.0.0.0", host)
        with opened(f"{page}/config.json") as answer:
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


def test_a_page_of_ones_own_may_connect_and_push(tmp_path: Path) -> None:
    origin = "http://localhost:5173"
    running = Up(tmp_path, "--origins", origin)
    try:
        running.until("try in two other terminals:")
        for url, body in ((f"{running.url('edge-1')}/sse", None), (f"{running.url('ingest')}/push", b'{"to": "all", "data": 1}')):
            request = urllib.request.Request(url, body, {"Content-Type": "application/json", "Origin": origin})  # noqa: S310 - ours
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - likewise
                assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
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
