"""A function that blocks the loop keeps its claim, and is named."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tailrace.worker.calls._functions import Function
from tailrace.worker.calls._watchdog import Watch, place
from tests.support.service import Service
from tests.support.wait import wait_until, wait_until_sync
from tests.worker.support import payload
from tests.worker.test_call_kills import HANDLERS, QUICK, put, workers
from tests.worker.test_kills import entries as events


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


def _named(services: list[Service]) -> list[str]:
    return [line for each in services for line in each.stderr.splitlines() if "blocks the loop" in line]


def test_a_call_that_blocks_the_loop_runs_once_and_is_named(client: Any, redis_url: str) -> None:
    with workers(2, redis_url, *QUICK, modules=HANDLERS) as services:
        put(client, "a", payload("blocks", {"sender": "x", "text": "a", "at": 2000}, receipt=""))
        (line,) = wait_until_sync(lambda: _named(services))
        assert "function 'blocks' blocks the loop, for 1 s by now, at " in line
        assert "tests/worker/handlers.py:" in line
        wait_until_sync(lambda: client.exists("tailrace:receipt:a"))
        assert len(events(client)) == 1
        assert client.get("blocked") == b"1"
        assert not any("another worker has it" in each.stderr for each in services)


def test_a_call_that_blocks_the_loop_for_longer_than_it_may_runs_elsewhere(client: Any, redis_url: str) -> None:
    with workers(2, redis_url, *QUICK, "--call-timeout-s", "0.5", modules=HANDLERS):
        put(client, "a", payload("blocks", {"sender": "x", "text": "a", "at": 2000}))
        wait_until_sync(lambda: client.get("blocked") == b"2", 4)


def test_what_a_thread_does_is_told_by_the_functions_name_if_it_is_in_one() -> None:
    waiting, over = threading.Event(), threading.Event()

    def nested() -> None:
        waiting.set()
        over.wait(5)

    def outer() -> None:
        nested()

    thread = threading.Thread(target=outer)
    thread.start()
    try:
        assert waiting.wait(5)
        assert thread.ident
        line = outer.__code__.co_firstlineno + 1
        assert place(thread.ident, [Function("by.name", outer)]) == ("by.name", f"{__file__}:{line}")
        assert place(thread.ident, [])[0] == ""
    finally:
        over.set()
        thread.join()
    assert place(thread.ident, []) == ("", "nowhere")


@pytest.mark.anyio
async def test_one_thread_watches_however_often_it_is_begun() -> None:
    keeps, over, others = threading.Event(), threading.Event(), _watching()

    async def keep(_: object) -> None:
        keeps.set()
        await wait_until(over.is_set)

    watch = Watch(set(), keep, 0.1)
    with watch.on():
        keeps.wait(5)  # which blocks the loop
    with watch.on():
        over.set()
        await wait_until(lambda: len(_watching() - others) == 1)
    await wait_until(lambda: not _watching() - others)


def _watching() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name == "tailrace-watch"}
