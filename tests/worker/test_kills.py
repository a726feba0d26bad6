"""Workers and Redis are killed, paused and filled up under load: nothing is lost, doubled or reordered."""

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import pytest
import redis

from tailrace.wire import decode_entry
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until_sync
from tests.worker.support import data_of, payload

CHANNELS = 10


class Producer:
    """Enqueues jobs with rising scores, a few hundred a second, and repeats what wasn't answered."""

    def __init__(self, url: str, *, keyed: bool = False) -> None:
        """`keyed` gives each push a key, for where a put that wasn't answered may have been done all the same."""
        self._keyed = keyed
        self._client = redis.Redis.from_url(url, socket_timeout=5)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._produce)
        self.accepted = 0
        self.refused = 0

    def _produce(self) -> None:
        score = 0.0
        for number in itertools.count():
            score = max(score + 0.01, time.time() * 1000 - 1)
            while not self._stop.is_set() and not self._put(number, score):
                self.refused += 1
                self._stop.wait(0.02)
            if self._stop.wait(0.002):
                return

    def _put(self, number: int, score: float) -> bool:
        pushes = [self._push(number, 0.0), self._push(number, 0.5)]
        text = payload("push", pushes[0]) if number % 5 else payload("push_many", pushes)
        try:
            with self._client.pipeline() as pipe:
                pipe.set(f"arq:job:{number:09}", text, px=600_000)
                pipe.zadd("tailrace:queue", {f"{number:09}": score})
                pipe.execute()
        except redis.RedisError:
            return False
        self.accepted = number + 1
        return True

    def _push(self, number: int, part: float) -> dict[str, Any]:
        push: dict[str, Any] = {"to": f"room:{number % CHANNELS}", "data": {"job": number + part}}
        return push | {"key": f"{number + part}"} if self._keyed else push

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def entries(client: "redis.Redis", shards: int = 1) -> list[tuple[str, float]]:
    found = []
    for shard in range(shards):
        log: Any = client.xrange(f"tailrace:{{{shard}}}:log")
        for entry_id, fields in log:
            entry = decode_entry(entry_id, [part for pair in fields.items() for part in pair])
            found.append((entry.channel, data_of(entry)["job"]))
    return found


def expect_all_once_and_in_order(url: str, accepted: int, shards: int = 1) -> None:
    with redis.Redis.from_url(url) as client:
        wait_until_sync(lambda: not client.exists("tailrace:queue", "tailrace:hand:0"), timeout_s=30)
        found = entries(client, shards)
        assert client.xlen("tailrace:dead") == 0
    expected = {float(n) for n in range(accepted)} | {n + 0.5 for n in range(0, accepted, 5)}
    assert {number for _, number in found} == expected, "lost"
    assert [job for job, count in Counter(found).items() if count > 1] == [], "doubled"
    for channel in range(CHANNELS):
        jobs = [job for name, job in found if name == f"room:{channel}"]
        assert jobs == sorted(jobs), "reordered"


@contextmanager
def workers(count: int, url: str, *arguments: str) -> Iterator[list[Service]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Service("worker", "--redis", url, *arguments)) for _ in range(count)]


def holder(services: list[Service]) -> Service:
    """Find who holds the queue: the last that said so."""
    lines = [(each.stderr.rpartition('"message":"holding queue')[0].rpartition('"time":"')[2], each) for each in services]
    return max(lines, key=lambda line: line[0])[1]


def appended(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.xlen("tailrace:{0}:log"))


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=[pytest.mark.prove, pytest.mark.timeout(900)])])
def test_holders_are_killed(redis_url: str, kills: int) -> None:
    chance = random.Random(2)
    with workers(3, redis_url, "--shards", "2", "--batch-jobs", "8", "--lease-s", "1") as services, Producer(redis_url) as producer:
        for _ in range(kills):
            before = producer.accepted + chance.randrange(100, 300)
            wait_until_sync(lambda before=before: producer.accepted > before, 30)  # type: ignore[misc]
            victim = holder(services)
            victim.kill()
            victim.start()
        producer.stop()
        expect_all_once_and_in_order(redis_url, producer.accepted, 2)


def test_a_holder_that_was_paused_beyond_its_lease_can_do_no_harm(redis_url: str) -> None:
    with workers(2, redis_url, "--lease-s", "0.5") as services, Producer(redis_url) as producer:
        for _ in range(2):
            wait_until_sync(lambda: appended(redis_url) > 100)
            zombie, before = holder(services), producer.accepted
            zombie_signal(zombie, signal.SIGSTOP)
            wait_until_sync(lambda zombie=zombie: holder(services) is not zombie)  # type: ignore[misc]
            wait_until_sync(lambda before=before: producer.accepted > before + 200)  # type: ignore[misc]
            zombie_signal(zombie, signal.SIGCONT)
            wait_until_sync(lambda zombie=zombie: "standing by" in zombie.stderr)  # type: ignore[misc]
        producer.stop()
        expect_all_once_and_in_order(redis_url, producer.accepted)


def zombie_signal(service: Service, number: signal.Signals) -> None:
    os.kill(service.pid, number)


def test_stopped_workers_hand_over_at_once(redis_url: str) -> None:
    with workers(2, redis_url) as services, Producer(redis_url) as producer:
        for _ in range(3):
            before = producer.accepted
            wait_until_sync(lambda before=before: producer.accepted > before + 100)  # type: ignore[misc]
            leaving = holder(services)
            assert leaving.terminate() == 0
            leaving.start()
        producer.stop()
        started = time.monotonic()
        expect_all_once_and_in_order(redis_url, producer.accepted)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_redis_is_restarted(redis_server: RedisServer, how: str) -> None:
    with workers(2, redis_server.url) as services, Producer(redis_server.url, keyed=True) as producer:
        for _ in range(2):
            before = producer.accepted
            wait_until_sync(lambda before=before: producer.accepted > before + 200)  # type: ignore[misc]
            getattr(redis_server, how)()
            redis_server.start()
        before = producer.accepted
        wait_until_sync(lambda: producer.accepted > before + 200)
        producer.stop()
        expect_all_once_and_in_order(redis_server.url, producer.accepted)
        assert [service.returncode for service in services] == [None, None]


def test_redis_is_out_of_memory_and_back(redis_server: RedisServer) -> None:
    with workers(2, redis_server.url), Producer(redis_server.url) as producer:
        with redis.Redis.from_url(redis_server.url) as client:
            for _ in range(3):
                before = producer.accepted
                wait_until_sync(lambda before=before: producer.accepted > before + 200)  # type: ignore[misc]
                refused = producer.refused
                client.config_set("maxmemory", 1)
                wait_until_sync(lambda refused=refused: producer.refused > refused + 20)  # type: ignore[misc]
                client.config_set("maxmemory", 0)
        producer.stop()
        expect_all_once_and_in_order(redis_server.url, producer.accepted)


def test_workers_can_be_stopped_while_redis_is_away(redis_server: RedisServer) -> None:
    with workers(2, redis_server.url, "--functions", "tests.worker.handlers") as services:
        wait_until_sync(lambda: any("holding" in each.stderr for each in services))
        redis_server.kill()
        wait_until_sync(lambda: all("waiting for" in each.stderr for each in services))
        assert [each.terminate() for each in services] == [0, 0]
