"""`tailrace worker` as a process."""

import socket
import subprocess
import sys
import time

import pytest
import redis

from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until_sync
from tests.worker.support import payload

HERE = "tests.worker.handlers"


def worker(url: str, *arguments: str) -> Service:
    return Service("worker", "--redis", url, *arguments)


def tailrace(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tailrace.cli", "worker", *arguments], capture_output=True, text=True, check=False, timeout=20
    )


def put(client: "redis.Redis", job: str, text: bytes, queue: str = "tailrace:queue") -> None:
    client.set(f"arq:job:{job}", text)
    client.zadd(queue, {job: time.time() * 1000})


def test_ready_line_signs_of_life_and_a_clean_end(redis_url: str) -> None:
    assert tailrace("--check", "--redis", redis_url).returncode == 1
    with worker(redis_url) as service, redis.Redis.from_url(redis_url) as client:
        assert service.stdout == ["tailrace worker ready"]
        wait_until_sync(lambda: client.zcard("tailrace:workers"))
        checked = tailrace("--check", "--redis", redis_url)
        assert (checked.returncode, checked.stdout) == (0, "workers alive: 1 here, 1 in all\n")
        put(client, "a", payload("push", {"to": "room:1", "data": 1}))
        wait_until_sync(lambda: client.xlen("tailrace:{0}:log"))
        wait_until_sync(lambda: not client.exists("tailrace:hand:0"))
        assert service.terminate() == 0
        assert client.exists("tailrace:lease:0", "tailrace:workers") == 0  # given up, so nobody has to wait for it
        assert "error" not in service.stderr


def test_a_worker_elsewhere_is_counted_and_says_nothing_of_this_one(redis_url: str) -> None:
    """In compose each container asks for itself; a host's name is its container's."""
    with redis.Redis.from_url(redis_url) as client:
        now, _ = client.time()
        client.zadd("tailrace:workers", {"elsewhere:1:abcdef12": now, f"{socket.gethostname()}:1:abcdef12": now - 60})
    checked = tailrace("--check", "--redis", redis_url)
    assert (checked.returncode, checked.stdout) == (1, "workers alive: 0 here, 1 in all\n")


def test_an_application_s_hooks_frame_all_that_a_worker_does(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client, worker(redis_url, "--functions", "tests.worker.application") as service:
        put(client, "a", payload("add", 1), "tailrace:calls")
        wait_until_sync(lambda: client.exists("arq:result:a"))
        assert client.lrange("hooks", 0, -1) == [b"startup"]
        assert service.terminate() == 0
        assert client.lrange("hooks", 0, -1) == [b"startup", b"shutdown"]


def test_burst_ends_when_the_queues_are_empty(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        put(client, "a", payload("push", {"to": "room:1", "data": 1}))
        put(client, "b", payload("say", {"sender": "x"}))
        with worker(redis_url, "--burst", "--functions", HERE) as service:
            assert service.wait() == 0
        assert client.xlen("tailrace:{0}:log") == 2


def test_burst_waits_for_calls_that_are_tried_again_or_due_soon(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        put(client, "a", payload("third_time", {"sender": "x"}), "tailrace:calls")
        client.set("arq:job:b", payload("say", {"sender": "x"}))
        client.zadd("tailrace:calls", {"b": time.time() * 1000 + 1500})
        with worker(redis_url, "--burst", "--functions", HERE) as service:
            assert service.wait() == 0
        assert client.xlen("tailrace:{0}:log") == 2
        assert client.keys("arq:*") == client.keys("arq:result:*")


def test_burst_runs_by_itself_only_what_runs_at_startup(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        put(client, "a", payload("sleepy", 3), "tailrace:calls")
        with worker(redis_url, "--burst", "--functions", "tests.worker.application.Early") as service:
            assert service.wait(20) == 0
        assert client.exists("arq:result:a") == 1
        assert client.llen("beats") == 1


def test_a_worker_looks_for_garbage_seldom(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client, worker(redis_url, "--functions", HERE):
        put(client, "a", payload("collector", {"sender": "x"}))
        wait_until_sync(lambda: client.xlen("tailrace:{0}:log"))
        block = str(client.xrange("tailrace:{0}:log"))
    assert '"thresholds":[50000,20,20]' in block
    assert '"frozen":0' not in block


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--functions", "no.such.module"], "can't import 'no.such.module'"),
        (["--functions", "./shop.py"], "modules are named as after `import`"),
        (["--functions", "shop.py"], "modules are named as after `import`"),
        (["--functions", "tests.worker.support"], "no function"),
        (["--shards", "9"], "--shards"),
        (["--history", "all"], "bad history rule"),
        (["--redis", "http://x"], "bad Redis URL"),
    ],
)
def test_settings_that_are_refused(redis_url: str, arguments: list[str], message: str) -> None:
    done = tailrace("--redis", redis_url, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_another_number_of_shards_is_refused(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("tailrace:layout", 4)
    done = tailrace("--redis", redis_url)
    assert done.returncode == 2
    assert "`shards` is 1 here and 4 in Redis" in done.stderr


def test_a_redis_that_evicts_is_refused() -> None:
    with RedisServer("valkey", "--maxmemory-policy", "allkeys-lru") as server:
        done = tailrace("--redis", server.url)
        assert done.returncode == 2
        assert "allkeys-lru" in done.stderr


def test_a_worker_waits_for_redis_and_can_be_stopped_meanwhile() -> None:
    command = [sys.executable, "-m", "tailrace.cli", "worker", "--redis", f"redis://:secret@127.0.0.1:{free_port()}/0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        line = process.stderr.readline()
        assert "waiting for the logs' Redis" in line
        assert "secret" not in line
        process.terminate()
        assert process.wait(10) == 0


def test_check_without_redis() -> None:
    done = tailrace("--check", "--redis", f"redis://127.0.0.1:{free_port()}/0")
    assert done.returncode == 1
    assert "can't reach Redis" in done.stderr
