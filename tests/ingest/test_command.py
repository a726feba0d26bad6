"""`tailrace ingest` as a process: its start, its end, and what it does while Redis fails."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from tailrace.wire import Keys
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until, wait_until_sync

KEYS = Keys()
PUSH = {"to": "room:1", "data": 1}


@pytest.fixture
def alone(redis_server: RedisServer) -> Iterator[Service]:
    """Ingest without a worker."""
    with Service("ingest", "--redis", redis_server.url, "--enqueue-s", "1", "--max-queue", "3") as service:
        yield service


def _push(service: Service, *, prefer: str = "respond-async", body: object = PUSH) -> httpx.Response:
    return httpx.post(f"{service.url}/push", json=body, headers={"prefer": prefer}, timeout=20)


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_status_0(alone: Service, with_signal: signal.Signals) -> None:
    assert _push(alone).status_code == 202
    assert alone.terminate(with_signal) == 0
    assert "Traceback" not in alone.stderr


@pytest.mark.anyio
async def test_who_waits_is_answered_202_when_it_ends(alone: Service, redis_server: RedisServer) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        waiting = asyncio.create_task(client.post(f"{alone.url}/push", json=PUSH, headers={"prefer": "wait=30"}))
        with redis.Redis.from_url(redis_server.url) as server:
            await wait_until(lambda: server.zcard(KEYS.queue()))
        begin = time.monotonic()
        assert await asyncio.to_thread(alone.terminate) == 0
        assert (await waiting).status_code == 202
        assert time.monotonic() - begin < 5


def test_no_receipt_in_time_is_202_and_the_job_is_queued(alone: Service) -> None:
    begin = time.monotonic()
    answer = _push(alone, prefer="wait=1")
    assert answer.status_code == 202
    assert 0.9 < time.monotonic() - begin < 4
    assert httpx.get(alone.url + answer.headers["location"]).json()["state"] == "queued"


def test_a_full_queue_is_503_and_keeps_what_was_accepted(alone: Service, redis_server: RedisServer) -> None:
    assert [_push(alone).status_code for _ in range(4)] == [202, 202, 202, 503]
    answer = _push(alone)
    assert answer.headers["retry-after"] == "5"
    assert "too many jobs wait" in answer.json()["message"]
    assert httpx.get(f"{alone.url}/readyz").status_code == 200  # Redis is there, but that isn't to say that all is well
    assert _push(alone).status_code == 503
    assert "all is well again" not in alone.stderr
    assert alone.stderr.count("pushes are refused") == 1
    with redis.Redis.from_url(redis_server.url) as server:
        assert server.zcard(KEYS.queue()) == 3


def test_a_queue_that_was_overwritten_is_503_and_named(alone: Service, redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as server:
        server.set(KEYS.queue(), "overwritten")
        answer = _push(alone)
        server.delete(KEYS.queue())
    assert answer.status_code == 503
    assert "tailrace:queue is no sorted set" in answer.json()["message"]
    assert _push(alone).status_code == 202


def test_a_redis_that_refuses_is_503(alone: Service, redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as server:
        server.set(KEYS.line(0), "something else")
        answer = _push(alone)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "refuses" in answer.json()["message"]
        server.delete(KEYS.line(0))
    assert _push(alone).status_code == 202
    assert "Traceback" not in alone.stderr


def test_redis_short_of_memory_is_503_until_it_has_room(alone: Service, redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as server:
        used = server.info("memory")["used_memory"]
        server.config_set("maxmemory", used * 5 // 4)
        answer = _push(alone)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "of its memory: nothing was enqueued" in answer.json()["message"]
        server.config_set("maxmemory", 0)
        wait_until_sync(lambda: _push(alone).status_code == 202)


def test_redis_that_goes_away_and_comes_back(alone: Service, redis_server: RedisServer) -> None:
    assert _push(alone).status_code == 202
    redis_server.kill()
    answer = _push(alone)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["message"].startswith("Redis is away")
    assert str(redis_server.port) not in answer.text
    for path in ("/readyz", "/jobs/x"):
        assert httpx.get(alone.url + path).status_code == 503
    assert httpx.delete(f"{alone.url}/jobs/x").status_code == 503
    assert httpx.get(f"{alone.url}/healthz").status_code == 200
    redis_server.start()
    wait_until_sync(lambda: httpx.get(f"{alone.url}/readyz").status_code == 200)
    assert _push(alone).status_code == 202
    assert alone.stderr.count("Redis doesn't answer") == 1
    assert alone.stderr.count("all is well again") == 1


def test_it_starts_without_redis_and_says_so() -> None:
    url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    with Service("ingest", "--redis", url, "--enqueue-s", "0.3") as service:
        assert _push(service).status_code == 503
        assert httpx.get(f"{service.url}/readyz").status_code == 503
        assert "is away" in service.stderr
        assert "hunter2" not in service.stderr + str(service.stdout)
        assert service.terminate() == 0


def test_only_the_queues_redis_is_needed(redis_server: RedisServer) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    with Service("ingest", "--redis", nowhere, "--queue-redis", redis_server.url) as service:
        assert _push(service).status_code == 202


def test_a_redis_that_evicts_is_refused() -> None:
    with RedisServer("valkey", "--maxmemory-policy", "allkeys-lru") as server:
        done = _ingest("--redis", server.url)
    assert done.returncode == 2
    assert "maxmemory-policy" in done.stderr


def test_a_port_that_is_taken_names_the_setting(alone: Service, redis_server: RedisServer) -> None:
    done = _ingest("--redis", redis_server.url, "--port", alone.url.rsplit(":", 1)[1])
    assert done.returncode == 2
    assert "--port" in done.stderr


def test_help_shows_settings_and_examples() -> None:
    done = _ingest("--help")
    assert done.returncode == 0
    assert "TAILRACE_PUSH_TOKEN" in done.stdout
    assert "curl" in done.stdout


def _ingest(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tailrace.cli", "ingest", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_too_much_at_once_is_429(redis_server: RedisServer) -> None:
    """A body that never ends, one byte short of the largest, leaves no room beside it under the smallest limit."""
    with Service("ingest", "--redis", redis_server.url, "--max-bytes", str(1 << 24)) as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(b"POST /push HTTP/1.1\r\nHost: x\r\nContent-Length: 16777216\r\n\r\n" + b" " * 16777215)
            answer = wait_until_sync(lambda: _busy(service))
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["message"].startswith("too much comes at once")
        slow.close()
        wait_until_sync(lambda: _push(service).status_code == 202)  # the slow one is gone, and so is its share


def test_when_too_many_wait_the_rest_is_answered_at_once(redis_server: RedisServer) -> None:
    with Service("ingest", "--redis", redis_server.url, "--max-waiting", "0") as service:
        begin = time.monotonic()
        assert _push(service, prefer="wait=10").status_code == 202
        assert time.monotonic() - begin < 5


def test_more_may_connect_than_a_shell_lets_a_process_open(redis_server: RedisServer) -> None:
    service = Service("ingest", "--redis", redis_server.url)
    service._command = ("sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh", *service._command)
    with service, ExitStack() as stack:
        address = urlsplit(service.url)
        for _ in range(100):
            stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=5))
        assert httpx.get(f"{service.url}/healthz", timeout=5).status_code == 200


def _busy(service: Service) -> httpx.Response | None:
    answer = _push(service)
    return answer if answer.status_code == 429 else None


def test_killed_between_enqueueing_and_answering_it_loses_nothing(redis_server: RedisServer) -> None:
    """Without a worker every request waits; then ingest is killed, and a worker comes."""
    with Service("ingest", "--redis", redis_server.url) as service, redis.Redis.from_url(redis_server.url) as server:
        asyncio.run(_abandoned(service, server, 20))
        with Service("worker", "--redis", redis_server.url):
            wait_until_sync(lambda: server.xlen(KEYS.log(0)) == 20)
        assert server.zcard(KEYS.queue()) == 0


async def _abandoned(service: Service, server: "redis.Redis", count: int) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        waiting = [
            asyncio.create_task(client.post(f"{service.url}/push", json={"to": "room:1", "data": number})) for number in range(count)
        ]
        await wait_until(lambda: server.zcard(KEYS.queue()) == count)
        await asyncio.to_thread(service.kill)
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, httpx.HTTPError) for result in results)


@pytest.mark.parametrize("head", [b"x: " + b"a" * 10_000_000, b"a: b\r\n" * 20_000], ids=["a value", "lines"])
def test_a_head_over_64_kib_is_refused(ingest: Service, head: bytes) -> None:
    address = urlsplit(ingest.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        with suppress(ConnectionError):
            connection.sendall(b"POST /push HTTP/1.1\r\nHost: ingest\r\n" + head + b"\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


@pytest.mark.parametrize("trailers", [b"x: " + b"a" * 10_000_000, b"a: b\r\n" * 200_000], ids=["a value", "lines"])
def test_trailers_over_64_kib_are_refused(ingest: Service, trailers: bytes) -> None:
    address = urlsplit(ingest.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(b"POST /push HTTP/1.1\r\nHost: ingest\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b'1b\r\n{"to": "room:1", "data": 1}\r\n0\r\n')
        with suppress(ConnectionError):
            connection.sendall(trailers + b"\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


def test_chunks_of_any_size_are_taken(ingest: Service) -> None:
    body = b'{"to": "room:1", "data": "%s"}' % (b"x" * 300_000)
    for size in (1000, 64 << 10, 200_000):
        chunks = [body[start : start + size] for start in range(0, len(body), size)]
        assert httpx.post(f"{ingest.url}/push", content=iter(chunks), timeout=20).status_code == 200


def test_bodies_may_be_longer_than_heads_and_follow_each_other(ingest: Service) -> None:
    with httpx.Client(base_url=ingest.url, timeout=20) as client:
        for size in (10, 100_000, 65_536, 900_000):
            answer = client.post("/push", json={"to": "room:1", "data": "x" * size}, headers={"x-filler": "y" * 50_000})
            assert answer.status_code == 200
