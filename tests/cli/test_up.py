"""`tailrace up` from end to end: real processes, killed one by one, found by the other commands, and stopped without a trace."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from ctypes.util import find_library
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.cli.running import NAMES, Up, alive, opened
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
        streams = [stack.enter_context(opened(f"{up.url(edge)}/sse")) for edge in ("edge-1", "edge-2")]
        assert all("event: connect" in _read_until(stream, "data: ") for stream in streams)
        pushed = up.run("push", "--to", "all", "--event", "message", '{"hello": "world"}')
        assert pushed.returncode == 0, pushed.stderr
        assert json.loads(pushed.stdout)["recipients"] == 2
        assert all('"hello":"world"' in _read_until(stream, "hello") for stream in streams)
        assert up.run("clients").stdout.splitlines()[-1] == "2 clients on 2 edges"


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
    with opened(f"{up.url('ingest')}/push", b'{"to": "room:1", "data": {"text": "hi"}}') as response:
        assert json.load(response)["status"] == "success"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_killed_is_started_again_where_it_was(up: Up, name: str) -> None:
    before = up.children()
    port = f":{up.url(name).rpartition(':')[2]}" if name not in ("valkey", "worker") else ""
    key = name.partition("-")[0] + port
    said, ready = up.log.count(f"{name:<8} | exited by SIGKILL"), up.log.count(" ready")
    os.kill(before[key], signal.SIGKILL)
    up.until(f"{name:<8} | exited by SIGKILL", said + 1)
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
