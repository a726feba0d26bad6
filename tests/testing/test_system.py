"""`tailrace.testing`, as an application's tests use it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.push import BlockingPusher
from tailrace.testing import NoEventError, NotStartedError, System

pytestmark = pytest.mark.timeout(120)
CONFTEST = """
import pytest

pytest_plugins = ["tailrace.testing"]

@pytest.fixture(scope="session")
def tailrace_functions():
    return ["greetings"]
"""
GREETINGS = """
from tailrace.worker import Event, function

@function
def greet(name: str) -> Event:
    return Event("greetings", {"hello": name})
"""
TEST = """
from tailrace.push import BlockingPusher

def test_greeting(tailrace):
    with tailrace.listen("greetings") as page, BlockingPusher(tailrace.redis_url) as pusher:
        pusher.call("greet", "Ann")
        assert page.next().data["hello"] == "Ann"
"""


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with System() as running:
        yield running


def test_a_push_is_received_by_who_listens(system: System) -> None:
    with system.listen("room:1") as page, system.listen("room:2") as other, BlockingPusher(system.redis_url) as pusher:
        pusher.push("room:1", {"text": "hi"}, event="chat").receipt()
        pusher.push(f"client:{other.client_id}", text="one\ntwo").receipt()
        received = page.next()
        assert (received.type, received.data["text"]) == ("chat", "hi")
        assert other.next().text == "one\ntwo"


def test_a_cursor_continues_where_a_stream_was_closed(system: System) -> None:
    with BlockingPusher(system.redis_url) as pusher:
        with system.listen("room:3") as page:
            pusher.push("room:3", {"n": 1}).receipt()
            seen = page.next()
        pusher.push("room:3", {"n": 2}).receipt()
        with system.listen("room:3", cursor=seen.id) as page:
            assert page.next().data["n"] == 2


def test_an_event_that_does_not_come_is_told(system: System) -> None:
    with system.listen("room:4") as page, pytest.raises(NoEventError, match="in time"):
        page.next(timeout_s=0.2)


def test_a_system_that_does_not_start_says_why() -> None:
    with pytest.raises(NotStartedError, match="no_such_module"), System(functions=["no_such_module"]):
        pass


def test_the_fixtures_run_an_applications_functions(tmp_path: Path) -> None:
    for file, code in (("conftest.py", CONFTEST), ("greetings.py", GREETINGS), ("test_greetings.py", TEST)):
        (tmp_path / file).write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:valkey"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
