"""`tailrace ingest` as a process: its start and its end."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
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
def alone(redis_url: str) -> Iterator[Service]:
    """Ingest without a worker."""
    with Service("ingest", "--redis", redis_url) as service:
        yield service


def _push(service: Service, *, prefer: str = "respond-async", body: object = PUSH) -> httpx.Response:
    return httpx.post(f"{service.url}/push", json=body, headers={"prefer": prefer}, timeout=20)


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_status_0(alone: Service, with_signal: signal.Signals) -> None:
    assert _push(alone).status_code == 202
    assert alone.terminate(with_signal) == 0
    assert "Traceback" not in alone.stderr


@pytest.mark.anyio
async def test_who_waits_is_answered_202_when_it_ends(alone: Service, redis_url: str) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        waiting = asyncio.create_task(client.post(f"{alone.url}/push", json=PUSH, headers={"prefer": "wait=30"}))
        with redis.Redis.from_url(redis_url) as server:
            await wait_until(lambda: server.zcard(KEYS.queue()))
        begin = time.monotonic()
        assert await asyncio.to_thread(alone.terminate) == 0
        assert (await waiting).status_code == 202
        assert time.monotonic() - begin < 5


def test_it_starts_without_redis_and_says_so() -> None:
    url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    with Service("ingest", "--redis", url, "--enqueue-s", "0.3") as service:
        assert _push(service).status_code == 503
        assert httpx.get(f"{service.url}/readyz").status_code == 503
        assert "is away" in service.stderr
        assert "hunter2" not in service.stderr + str(service.stdout)
        assert service.terminate() == 0


def test_only_the_queues_redis_is_needed(redis_url: str) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    with Service("ingest", "--redis", nowhere, "--queue-redis", redis_url) as service:
        assert _push(service).status_code == 202


def test_a_redis_that_evicts_is_refused() -> None:
    with RedisServer("valkey", "--maxmemory-policy", "allkeys-lru") as server:
        done = _ingest("--redis", server.url)
    assert done.returncode == 2
    assert "maxmemory-policy" in done.stderr


def test_a_port_that_is_taken_names_the_setting(alone: Service, redis_url: str) -> None:
    done = _ingest("--redis", redis_url, "--port", alone.url.rsplit(":", 1)[1])
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


def test_more_may_connect_than_a_shell_lets_a_process_open(redis_url: str) -> None:
    service = Service("ingest", "--redis", redis_url)
    service._command = ("sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh", *service._command)
    with service, ExitStack() as stack:
        address = urlsplit(service.url)
        for _ in range(100):
            stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=5))
        assert httpx.get(f"{service.url}/healthz", timeout=5).status_code == 200


def test_killed_between_enqueueing_and_answering_it_loses_nothing(redis_url: str) -> None:
    """Without a worker every request waits; then ingest is killed, and a worker comes."""
    with Service("ingest", "--redis", redis_url) as service, redis.Redis.from_url(redis_url) as server:
        asyncio.run(_abandoned(service, server, 20))
        with Service("worker", "--redis", redis_url):
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
