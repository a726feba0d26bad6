"""`tailrace dead` over many letters: filters, progress, and what happens meanwhile."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import redis

from tailrace.cli import main
from tailrace.wire import Keys, encode_job
from tests.support.wait import wait_until_sync

KEYS = Keys()


def test_many_letters_are_read_and_deleted_in_pages(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with redis.Redis.from_url(redis_url) as client:
        for number in range(450):
            client.xadd(KEYS.dead(), {"job": f"job-{number}", "reason": "r", "queue": KEYS.queue(), "payload": b""})
        assert main(["dead", "purge", "--all", "--redis", redis_url]) == 0
        assert capsys.readouterr().out == "450 deleted\n"
        assert client.xlen(KEYS.dead()) == 0


MANY = 2_500


@pytest.fixture
def many(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give a Redis with dead calls of two functions and dead pushes to two channels, of which the older half died long ago."""
    monkeypatch.setenv("TAILRACE_REDIS_URL", redis_url)
    jobs = [encode_job("f", [{}], {}, 0), encode_job("g", [{}], {}, 0), encode_job("push", [{"to": "a"}], {}, 0)]
    jobs.append(encode_job("push_many", [[{"to": "b"}, {"to": "c"}]], {}, 0))
    with redis.Redis.from_url(redis_url) as client:
        with client.pipeline(transaction=False) as pipe:
            for number in range(MANY):
                which = number % 4
                letter = {"job": f"job-{number}", "reason": f"r{which}", "queue": KEYS.calls() if which < 2 else KEYS.queue()}
                died = f"{1000 + number if number < MANY / 2 else int(time.time() * 1000) - MANY + number}-0"
                pipe.xadd(KEYS.dead(), {**letter, "payload": jobs[which]}, died)
            pipe.execute()
        yield client


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--function", "f"], MANY / 4),
        (["--function", "push"], MANY / 4),
        (["--channel", "c"], MANY / 4),
        (["--channel", "nowhere"], 0),
        (["--since", "1h"], MANY / 2),
        (["--since", "1970-01-01T00:00:02Z"], MANY - 1000),
        (["--function", "g", "--since", "1h", "--reason", "R1"], MANY / 8),
    ],
)
def test_filters(many: Any, words: list[str], found: float, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead", "list", "--limit", "0", *words]) == 0
    number = int(capsys.readouterr().out.split()[0])
    assert number == pytest.approx(found, abs=1)
    assert main(["dead", "redrive", *words]) == 0
    assert capsys.readouterr().out == f"{number} of {number} redriven\n"
    assert many.xlen(KEYS.dead()) == MANY - number
    assert many.zcard(KEYS.calls()) + many.zcard(KEYS.queue()) == number


def test_progress_is_told(many: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead", "purge", "--all"]) == 0
    assert capsys.readouterr().err.splitlines()[1:] == [f"1000 of {MANY} examined", f"2000 of {MANY} examined"]


def test_what_dies_again_meanwhile_is_left_for_the_next_time(many: Any, capsys: pytest.CaptureFixture[str]) -> None:
    many.config_set("notify-keyspace-events", "Kz")
    with many.pubsub(ignore_subscribe_messages=True) as heard, _dying_again(many, heard):
        assert main(["dead", "redrive", "--all"]) == 0
        assert capsys.readouterr().out == f"{MANY} of {MANY} redriven\n"


@contextmanager
def _dying_again(client: Any, heard: Any) -> Iterator[None]:
    """Have each job that is put back write a letter anew."""
    heard.psubscribe(**{f"__keyspace@0__:{KEYS.prefix}:*": lambda _: client.xadd(KEYS.dead(), {"job": "again", "queue": KEYS.queue()})})
    thread = heard.run_in_thread(sleep_time=0.01)
    try:
        yield
    finally:
        thread.stop()
        thread.join()


def _fewer(client: Any, than: int) -> bool:
    return bool(client.xlen(KEYS.dead()) < than)


def test_a_redrive_that_is_killed_loses_and_doubles_nothing(many: Any, redis_url: str) -> None:
    command = [sys.executable, "-m", "tailrace.cli", "dead", "redrive", "--all", "--redis", redis_url]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            before = many.xlen(KEYS.dead())
            wait_until_sync(partial(_fewer, many, before))
            process.kill()
        jobs = many.zrange(KEYS.calls(), 0, -1) + many.zrange(KEYS.queue(), 0, -1)
        left = [fields[b"job"] for _, fields in many.xrange(KEYS.dead())]
        assert sorted(jobs + left) == sorted(b"job-%d" % number for number in range(MANY))
        if not left:
            break
