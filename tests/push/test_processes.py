"""One producer in several processes: whenever and however a process is forked, each push is appended and no process disturbs another."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import redis

from tailrace.events import whole_entries
from tailrace.wire import Keys
from tests.push.children import CHANNEL, EACH, WAYS
from tests.support.ports import free_port
from tests.support.wait import wait_until_sync

ROOT = Path(__file__).parents[2]
KEYS = Keys()
POSTS = 60


def _appended(url: str, channel: str) -> list[str]:
    """What was appended to a channel: the data of each event."""
    with redis.Redis.from_url(url) as client:
        entries = whole_entries(client.xrange(KEYS.log(0)))
    blocks = [entry.block for entry in entries if entry.channel == channel]
    return [str(msgspec.json.decode(block.split(b"data: ")[1].strip())) for block in blocks]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["Pusher", "Pusher in a loop", "BlockingPusher"])
@pytest.mark.parametrize("before", ["", "used before"])
def test_neither_a_parent_nor_its_child_notices_the_other(working_url: str, kind: str, way: str, before: str) -> None:
    if kind == "Pusher in a loop" and not before:
        pytest.skip("it is always used before")
    with redis.Redis.from_url(working_url) as client:
        client.delete(KEYS.log(0))
    command = [sys.executable, "-m", "tests.push.children", kind, way, working_url, before]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    who = ["after", *(["before"] if before else []), *([] if way == "os.fork unused" else ["child"])]
    assert sorted(_appended(working_url, CHANNEL)) == sorted(f"{each} {number}" for each in who for number in range(EACH))


@contextmanager
def gunicorn(application: str, url: str, before: str, *options: str) -> Iterator[str]:
    """Serve an application that is loaded before gunicorn forks three workers."""
    port = free_port()
    command = ("-m", "gunicorn", "--preload", "-w", "3", "-b", f"127.0.0.1:{port}", *options, f"tests.push.applications:{application}")
    environ = {**os.environ, "PUSHED_URL": url, "PUSHED_BEFORE": before}
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_sync(lambda: server.poll() is not None or _answers(address), 30)
            yield address
        finally:
            server.terminate()
            errors = server.communicate(timeout=20)[1]
    assert "Traceback" not in errors


def _answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code > 0
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("application", "options", "before"),
    [
        ("litestar", ("-k", "uvicorn_worker.UvicornWorker"), ""),
        ("litestar", ("-k", "uvicorn_worker.UvicornWorker"), "pushed before"),
        ("fastapi", ("-k", "uvicorn_worker.UvicornWorker"), "pushed before"),
        ("flask", ("--threads", "4"), ""),
        ("flask", ("--threads", "4"), "pushed before"),
        ("flask_in_loops", ("--threads", "4"), "pushed before"),
        ("wsgi", ("--threads", "4"), "pushed before"),
    ],
    ids=["Litestar, first used after", "Litestar", "FastAPI", "Flask, first used after", "Flask", "Flask with async views", "Django"],
)
def test_workers_that_were_forked_after_loading_append_all(
    working_url: str, application: str, options: tuple[str, ...], before: str
) -> None:
    room = f"{application}{len(before)}"
    with (
        gunicorn(application, working_url, before, *options) as address,
        httpx.Client(timeout=30) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        answers = list(threads.map(lambda _: client.post(f"{address}/rooms/{room}"), range(POSTS)))
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert [answer.json() for answer in answers] == [{"appended": True}] * POSTS
    assert len(_appended(working_url, f"room:{room}")) == POSTS
