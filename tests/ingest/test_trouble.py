"""What ingest answers while Redis fails or refuses, while a queue is full, and when too much comes at once."""

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
import redis

from tailrace.wire import Keys
from tests.support.redis import KEPT, RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until_sync

KEYS = Keys()
PUSH = {"to": "room:1", "data": 1}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer("valkey", *KEPT) as started:
        yield started


@pytest.fixture(scope="module")
def started(server: RedisServer) -> Iterator[Service]:
    with Service("ingest", "--redis", server.url, "--enqueue-s", "1", "--max-queue", "3") as service:
        yield service
        assert "Traceback" not in service.stderr


@pytest.fixture
def alone(server: RedisServer, started: Service) -> Service:
    """Ingest without a worker, and nothing in Redis."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return started


def _push(service: Service, *, prefer: str = "respond-async", body: object = PUSH) -> httpx.Response:
    return httpx.post(f"{service.url}/push", json=body, headers={"prefer": prefer}, timeout=20)


def test_no_receipt_in_time_is_202_and_the_job_is_queued(alone: Service) -> None:
    begin = time.monotonic()
    answer = _push(alone, prefer="wait=1")
    assert answer.status_code == 202
    assert 0.9 < time.monotonic() - begin < 4
    assert httpx.get(alone.url + answer.headers["location"]).json()["state"] == "queued"


def test_a_full_queue_is_503_and_keeps_what_was_accepted(alone: Service, server: RedisServer) -> None:
    before = len(alone.stderr)
    assert [_push(alone).status_code for _ in range(4)] == [202, 202, 202, 503]
    answer = _push(alone)
    assert answer.headers["retry-after"] == "5"
    assert "too many jobs wait" in answer.json()["message"]
    assert httpx.get(f"{alone.url}/readyz").status_code == 200  # Redis accepts writes; a full queue is another matter
    assert _push(alone).status_code == 503
    assert alone.stderr[before:].count("requests are refused") == 1
    assert "accepted again" not in alone.stderr[before:].partition("requests are refused")[2]
    with redis.Redis.from_url(server.url) as client:
        assert client.zcard(KEYS.queue()) == 3


def test_a_queue_that_was_overwritten_is_503_and_named(alone: Service, server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set(KEYS.queue(), "overwritten")
        answer = _push(alone)
        client.delete(KEYS.queue())
    assert answer.status_code == 503
    assert "tailrace:queue is no sorted set" in answer.json()["message"]
    assert _push(alone).status_code == 202


def test_a_redis_that_refuses_is_503(alone: Service, server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.set(KEYS.line(0), "something else")
        answer = _push(alone)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "refuses" in answer.json()["message"]
        client.delete(KEYS.line(0))
    assert _push(alone).status_code == 202


def test_redis_short_of_memory_is_503_until_it_has_room(redis_url: str) -> None:
    """On one that wasn't asked before: how much there is counts for a second."""
    with Service("ingest", "--redis", redis_url) as service, redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] * 5 // 4)
        try:
            answer = _push(service)
        finally:
            client.config_set("maxmemory", 0)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "of its memory: nothing was enqueued" in answer.json()["message"]
        wait_until_sync(lambda: _push(service).status_code == 202)


def test_redis_that_goes_away_and_comes_back(alone: Service, server: RedisServer) -> None:
    assert _push(alone).status_code == 202
    before = len(alone.stderr)
    server.kill()
    answer = _push(alone)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["message"].startswith("Redis is away")
    assert str(server.port) not in answer.text
    for path in ("/readyz", "/jobs/x"):
        assert httpx.get(alone.url + path).status_code == 503
    assert httpx.delete(f"{alone.url}/jobs/x").status_code == 503
    assert httpx.get(f"{alone.url}/healthz").status_code == 200
    server.start()
    wait_until_sync(lambda: httpx.get(f"{alone.url}/readyz").status_code == 200)
    assert _push(alone).status_code == 202
    assert alone.stderr[before:].count("Redis is unreachable") == 1
    assert alone.stderr[before:].count("Redis is reachable again") == 1


def test_too_much_at_once_is_429(server: RedisServer) -> None:
    """A body that never ends, one byte short of the largest, leaves no room beside it under the smallest limit."""
    with Service("ingest", "--redis", server.url, "--max-bytes", str(1 << 24)) as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(b"POST /push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16777216\r\n\r\n" + b" " * 16777215)
            answer = wait_until_sync(lambda: _busy(service))
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["message"].startswith("too many request bytes at once")
        slow.close()
        wait_until_sync(lambda: _push(service).status_code == 202)  # the slow one is gone, and so is its share


def _busy(service: Service) -> httpx.Response | None:
    answer = _push(service)
    return answer if answer.status_code == 429 else None


def test_when_too_many_wait_the_rest_is_answered_at_once(server: RedisServer) -> None:
    with Service("ingest", "--redis", server.url, "--max-waiting", "0") as service:
        begin = time.monotonic()
        assert _push(service, prefer="wait=10").status_code == 202
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("refuse", "accept"),
    [
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    ],
)
def test_readyz_is_503_while_redis_refuses_writes_and_200_again_afterwards(redis_url: str, refuse: str, accept: str) -> None:
    with redis.Redis.from_url(redis_url) as client, Service("ingest", "--redis", redis_url) as service:
        assert httpx.get(f"{service.url}/readyz").status_code == 200
        client.execute_command(*refuse.split())
        try:
            answers = [httpx.get(f"{service.url}/readyz"), _push(service), httpx.get(f"{service.url}/readyz")]
        finally:
            client.execute_command(*accept.split())
        assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "5")] * 3
        assert httpx.get(f"{service.url}/readyz").json() == {"state": "ready"}
        lines = [json.loads(line) for line in service.stderr.splitlines()]
        assert [(line["level"], line["message"].partition(":")[0]) for line in lines] == [
            ("warning", "requests are refused"),
            ("info", "requests are accepted again"),
        ]
        assert lines[0]["message"].endswith(lines[0]["fields"]["reason"])
