"""Workers are killed, paused and stopped while calls run, and Redis goes away: each call ends once."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest
import redis

from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until_sync
from tests.worker.support import payload
from tests.worker.test_kills import entries

CALLS = "tailrace:calls"
HANDLERS = ("--functions", "tests.worker.handlers")
MODULES = (*HANDLERS, "--functions", "tests.worker.application.Timeless")  # a run of cron that is cut off is a dead letter
QUICK = ("--call-lease-s", "1")


@contextmanager
def workers(count: int, url: str, *arguments: str, modules: tuple[str, ...] = MODULES) -> Iterator[list[Service]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Service("worker", "--redis", url, *modules, *arguments)) for _ in range(count)]


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


def put(client: Any, job: str, text: bytes) -> None:
    client.set(f"arq:job:{job}", text, px=600_000)
    client.zadd(CALLS, {job: time.time() * 1000})


def left(client: Any) -> list[bytes]:
    """List the calls that haven't ended, but for those that cron makes."""
    return [job for job in client.zrange(CALLS, 0, -1) if not job.startswith(b"cron:")]


def letters(client: Any, job: bytes) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in client.xrange("tailrace:dead") if fields[b"job"] == job]


def whose(client: Any, job: str, services: list[Service], start: int = 0) -> Service:
    """Wait for the start of a call, and say which worker runs it."""
    pid = wait_until_sync(lambda: client.lindex(f"starts:{job}", start), 20)
    return next(each for each in services if each.pid == int(pid))


@pytest.mark.parametrize(
    ("lease", "within_s"), [(QUICK, 5), pytest.param((), 15, marks=pytest.mark.prove)], ids=["a lease of 1 s", "the default"]
)
def test_a_killed_workers_call_runs_again(client: Any, redis_url: str, lease: tuple[str, ...], within_s: float) -> None:
    """Stock arq leaves it alone for as long as the longest may take, which is a day here."""
    with workers(2, redis_url, *lease) as services:
        put(client, "a", payload("patient", 1))
        whose(client, "a", services).kill()
        killed = time.monotonic()
        wait_until_sync(lambda: client.llen("starts:a") == 2, 20)
        assert time.monotonic() - killed < within_s
        wait_until_sync(lambda: client.llen("ends:a") == 1)
        wait_until_sync(lambda: b'"r":1' in (client.get("arq:result:a") or b""))  # its first try: a kill burns none
        assert client.keys("arq:in-progress:*") == client.keys("arq:job:a") == []


def test_a_call_that_is_deaf_keeps_no_worker_from_its_end(client: Any, redis_url: str) -> None:
    with workers(1, redis_url, "--drain-s", "0") as (service,):
        put(client, "a", payload("deaf", {"sender": "x"}))
        wait_until_sync(lambda: client.get("deaf"))
        assert service.terminate() == 0
        assert "runs on though it was cancelled" in service.stderr
    assert (left(client), client.exists("arq:in-progress:a")) == ([b"a"], 0)


def test_a_worker_that_comes_back_from_a_pause_emits_nothing(client: Any, redis_url: str) -> None:
    with workers(2, redis_url, *QUICK) as services:
        put(client, "a", payload("grows_less", {"sender": "x", "at": 500}, receipt=""))
        token = wait_until_sync(lambda: client.get("arq:in-progress:a"))
        wait_until_sync(lambda: client.get("runs:a"))
        paused = _claimant(client, services, token)
        os.kill(paused.pid, signal.SIGSTOP)
        try:
            wait_until_sync(lambda: client.exists("tailrace:receipt:a"), 10)
        finally:
            os.kill(paused.pid, signal.SIGCONT)
        wait_until_sync(lambda: "another worker has it" in paused.stderr)
        assert [job for _, job in entries(client)] == [2]
        assert not left(client)
        assert client.exists("tailrace:dead") == 0


def test_pauses_are_no_deaths(client: Any, redis_url: str) -> None:
    with workers(1, redis_url, "--call-lease-s", "0.5") as (service,):
        put(client, "a", payload("sleepy", 3))
        whose(client, "a", [service])
        for _ in range(3):
            wait_until_sync(lambda: _runs_out_s(client) > 0.2)
            os.kill(service.pid, signal.SIGSTOP)
            try:
                wait_until_sync(lambda: _runs_out_s(client) < -0.1)
            finally:
                os.kill(service.pid, signal.SIGCONT)
        wait_until_sync(lambda: client.exists("arq:result:a"), 10)
        assert client.exists("tailrace:dead") == 0
        assert client.llen("starts:a") == client.llen("ends:a") == 1


def _runs_out_s(client: Any) -> float:
    """Say in how many seconds the claim of the call runs out."""
    return float(client.zscore(CALLS, "a") / 1000 - time.time())


def _claimant(client: Any, services: list[Service], token: bytes) -> Service:
    """Find whose claim it is: the worker that can't answer for it when it stands still."""
    for each in services:
        os.kill(each.pid, signal.SIGSTOP)
        before = client.get("arq:in-progress:a")
        still = not _changes(client, before)
        if still:
            return each
        os.kill(each.pid, signal.SIGCONT)
    raise AssertionError(f"nobody has {token!r}")


def _changes(client: Any, before: bytes) -> bool:
    try:
        wait_until_sync(lambda: client.get("arq:in-progress:a") != before, 0.4)
    except TimeoutError:
        return False
    return True


def _started(client: Any, times: int) -> bool:
    return bool(client.llen("starts:a") == times)


def test_restarts_burn_no_tries(client: Any, redis_url: str) -> None:
    put(client, "a", payload("sleepy", 1.5))
    for restart in range(6):
        with Service("worker", "--redis", redis_url, *MODULES, "--drain-s", "0", "--call-tries", "1") as service:
            wait_until_sync(partial(_started, client, restart + 1))
            if restart < 5:
                assert service.terminate() == 0
                assert client.exists("arq:in-progress:a") == 0
            else:
                wait_until_sync(lambda: b'"r":1' in (client.get("arq:result:a") or b""))
    assert client.exists("tailrace:dead") == 0


def test_a_call_that_kills_its_workers_is_a_dead_letter(client: Any, redis_url: str) -> None:
    text = payload("murderous")
    put(client, "a", text)
    with Service("worker", "--redis", redis_url, *MODULES, "--call-lease-s", "0.5") as service:
        for _ in range(3):
            service.wait()
            service.start()
        (letter,) = wait_until_sync(lambda: letters(client, b"a"))
        assert letter[b"reason"] == b"3 workers died running this call"
        assert letter[b"payload"] == text
        assert client.get("murders") == b"3"
        put(client, "b", payload("add", 1))
        wait_until_sync(lambda: client.exists("arq:result:b"))
        assert (len(letters(client, b"a")), client.get("murders")) == (1, b"3")  # a dead letter isn't one again, and doesn't run
        assert client.zscore(CALLS, "a") is None
        assert client.xlen("tailrace:dead") == 1


def test_errors_of_the_network_are_tried_again_until_there_are_no_tries_left(client: Any, redis_url: str) -> None:
    with workers(1, redis_url, "--call-tries", "2"):
        hopeless = payload("flaky", {"sender": "x", "at": 9, "text": "refused"})
        put(client, "a", payload("flaky", {"sender": "x", "at": 1}))
        put(client, "b", hopeless)
        wait_until_sync(lambda: [job for _, job in entries(client)] == [2])
        (letter,) = wait_until_sync(lambda: client.xrange("tailrace:dead"))
        assert letter[1][b"reason"] == b"flaky tried 2 times: ConnectionResetError: refused"
        assert (letter[1][b"payload"], letter[1][b"queue"]) == (hopeless, CALLS.encode())
        assert b"raise ConnectionResetError" in letter[1][b"traceback"]
        wait_until_sync(lambda: client.keys("arq:retry:*") == [])  # what a call emits is there before the call is over


def test_a_worker_is_stopped_though_a_thread_runs_on(client: Any, redis_url: str) -> None:
    with workers(1, redis_url, "--drain-s", "0.2") as (service,):
        put(client, "a", payload("stays", {"sender": "x", "at": 60_000}))
        wait_until_sync(lambda: client.exists("arq:in-progress:a"))
        started = time.monotonic()
        assert service.terminate() == 0
        assert time.monotonic() - started < 10
    assert client.exists("arq:in-progress:a") == 0
    assert left(client) == [b"a"]


TROUBLE = ["restart", "out of memory", "read-only"]


@pytest.mark.parametrize("trouble", TROUBLE)
def test_redis_goes_away_while_calls_run(redis_server: RedisServer, trouble: str) -> None:
    url = redis_server.url
    with workers(2, url, *QUICK, modules=HANDLERS) as services:
        for cycle in range(3):
            with redis.Redis.from_url(url) as client:
                for number in range(20):
                    job = f"{cycle}-{number}"
                    put(client, job, payload("counts" if number % 2 else "slow", {"sender": "x", "text": job, "at": 300}))
            _go_away(redis_server, trouble)
        with redis.Redis.from_url(url) as client:
            wait_until_sync(lambda: not left(client), 30)
            counted = [str(job) for channel, job in entries(client) if channel == "room:counts"]
            assert sorted(counted) == sorted(f"{cycle}-{number}" for cycle in range(3) for number in range(1, 20, 2))
            assert client.exists("tailrace:dead") == 0
        assert [each.returncode for each in services] == [None, None]
        assert trouble != "restart" or any("waiting for" in each.stderr and "going on" in each.stderr for each in services)


def _go_away(server: RedisServer, trouble: str) -> None:
    if trouble == "restart":
        server.kill()
        server.start()
        return
    with redis.Redis.from_url(server.url) as client:
        if trouble == "out of memory":
            client.config_set("maxmemory", 1)
        else:
            client.config_set("min-replicas-to-write", 1)
        with pytest.raises(TimeoutError):
            wait_until_sync(lambda: client.ping() is None, 1)
        client.config_set("maxmemory", 0)
        client.config_set("min-replicas-to-write", 0)
