"""arq's contract where a call can't run, or may run only once: what its clients and its health check see."""

import signal
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis

from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until_sync
from tests.worker.support import payload
from tests.worker.test_call_kills import QUICK, left, letters, put, whose, workers

HEALTH = "tailrace:calls:health-check"
ONLY_ARQ = ("--functions", "tests.worker.application.Timeless")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as started, Service("worker", "--redis", started.url, *ONLY_ARQ, "--function-wait-s", "0"):
        yield started


@pytest.fixture
def shared(server: RedisServer) -> Iterator[Any]:
    with redis.Redis.from_url(server.url) as made:
        yield made


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


def result(client: Any, job: str) -> dict[str, Any]:
    kept = wait_until_sync(lambda: client.get(f"arq:result:{job}"), 10)
    return dict(msgspec.json.decode(kept))


@pytest.mark.parametrize(
    ("job", "text", "function", "said"),
    [
        ("missing", payload("nobody", 1, b=2), "nobody", "JobExecutionFailed: function 'nobody' not found"),
        ("expired", None, "<unknown>", "JobExecutionFailed: job expired"),
        ("garbage", b"{oops", "<unknown>", "DeserializationError: unable to deserialize job"),
        ("pickled", b"\x80\x04]", "<unknown>", "DeserializationError: unable to deserialize job"),
        ("untried", payload("untried", 0), "untried", "JobExecutionFailed: max 0 retries exceeded"),
        ("used-up", b'{"t":6,"f":"add","a":[1],"k":{},"et":0}', "add", "JobExecutionFailed: max 5 retries exceeded"),
        ("instant", payload("instant", 0), "instant", "TimeoutError: it may take no time: its timeout is 0"),
    ],
)
def test_a_call_that_can_not_run_has_the_result_that_arq_gives_it(
    shared: Any, job: str, text: bytes | None, function: str, said: str
) -> None:
    if text is None:
        shared.zadd("tailrace:calls", {job: 1})
    else:
        put(shared, job, text)
    found = result(shared, job)
    assert (found["f"], found["r"], found["s"], found["q"], found["id"]) == (function, said, False, "tailrace:calls", job)
    if job == "missing":
        assert (found["a"], found["k"]) == ([1], {"b": 2})
    assert 3_500_000 < shared.pttl(f"arq:result:{job}") <= 3_600_000
    assert len(letters(shared, job.encode())) == 1
    assert not shared.exists(f"starts:{job}")


def test_a_result_that_json_can_not_hold_is_a_failure_that_says_so(shared: Any) -> None:
    put(shared, "object", payload("unstorable"))
    found = result(shared, "object")
    assert (found["r"], found["s"]) == ("unable to serialize result", False)
    assert not letters(shared, b"object")


def test_a_call_with_one_try_is_not_run_again_after_a_kill(client: Any, redis_url: str) -> None:
    with workers(2, redis_url, *QUICK, modules=ONLY_ARQ) as services:
        put(client, "a", payload("single", 60))
        put(client, "b", payload("sleepy", 0))
        whose(client, "a", services).kill()
        assert result(client, "a")["r"] == "JobExecutionFailed: max 1 retries exceeded"
        (letter,) = letters(client, b"a")
        assert letter[b"reason"] == b"single is not run again: max_tries is 1; workers that died running it: 1"
        assert client.llen("starts:a") == 1
        assert not left(client)


def test_a_call_with_one_try_is_not_run_again_after_its_worker_was_stopped(client: Any, redis_url: str) -> None:
    with workers(1, redis_url, "--drain-s", "0", modules=ONLY_ARQ) as (service,):
        put(client, "a", payload("single", 60))
        put(client, "b", payload("sleepy", 60))
        whose(client, "a", [service])
        whose(client, "b", [service])
        assert service.terminate(signal.SIGTERM) == 0
    assert result(client, "a")["r"] == "JobExecutionFailed: max 1 retries exceeded"
    assert letters(client, b"a")[0][b"reason"].endswith(b"its worker was stopped")
    assert left(client) == [b"b"]


def test_the_sign_of_health_counts_an_abort_as_failed_and_ends_with_the_worker(client: Any, redis_url: str) -> None:
    with workers(1, redis_url, modules=("--functions", "tests.worker.application.Watched")) as (service,):
        put(client, "a", payload("sleepy", 60))
        whose(client, "a", [service])
        client.zadd("arq:abort", {"a": 10**13})
        assert result(client, "a")["r"].startswith("CancelledError")
        wait_until_sync(lambda: b"j_complete=0 j_failed=1 j_retried=0" in (client.get(HEALTH) or b""), 10)
        assert service.terminate() == 0
    assert client.get(HEALTH) is None


def test_the_sign_of_health_of_another_worker_is_left(client: Any, redis_url: str) -> None:
    with workers(1, redis_url, modules=ONLY_ARQ) as (service,):
        wait_until_sync(lambda: client.get(HEALTH))
        client.set(HEALTH, "another worker's")
        assert service.terminate() == 0
    assert client.get(HEALTH) == b"another worker's"


def test_a_log_line_about_a_call_holds_its_function_job_and_queue_as_fields(client: Any, redis_url: str) -> None:
    with workers(1, redis_url, modules=ONLY_ARQ) as (service,):
        put(client, "a\x1b", payload("raises"))
        wait_until_sync(lambda: letters(client, b"a\x1b"))
        wait_until_sync(lambda: "dead letter" in service.stderr)
        (line,) = [msgspec.json.decode(each) for each in service.stderr.splitlines() if "dead letter" in each]
        fields = line["fields"]
        assert (fields["function"], fields["queue"]) == ("raises", "tailrace:calls")
        assert fields["job"].startswith("a")
        assert "\x1b" not in service.stderr
