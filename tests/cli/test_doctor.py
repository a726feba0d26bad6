"""`tailrace doctor` on real servers, good and bad, and through streams that are held back."""

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from tailrace.cli import main
from tailrace.wire import Keys
from tests.support.redis import RedisServer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
CONNECT = b":\n\nretry: 3000\n\nevent: connect\nid: 0\ndata: {}\n\n"


def test_good_redis(capsys: pytest.CaptureFixture[str]) -> None:
    with RedisServer("valkey", "--appendonly", "yes", "--maxmemory", "1gb") as server:
        assert main(["doctor", "--redis", server.url]) == 0
    shown = capsys.readouterr().out
    assert "ok       Valkey " in shown
    assert "wrong" not in shown


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_redis_that_evicts(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    with RedisServer("valkey", "--maxmemory-policy", policy) as server:
        assert main(["doctor", "--redis", server.url]) == 1
    shown = capsys.readouterr().out
    assert f"wrong    maxmemory-policy is {policy}, which deletes events silently\n" in shown
    assert "-> CONFIG SET maxmemory-policy noeviction" in shown
    assert "warning  maxmemory is 0" in shown
    assert "warning  the append-only file is off" in shown


def test_debians_redis(any_redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--redis", any_redis_url]) == 0
    assert "this clock and Redis' are 0.0" in capsys.readouterr().out


def test_redis_away(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--redis", "redis://:secret@127.0.0.1:1/0"]) == 1
    shown = capsys.readouterr().out
    assert "wrong    redis://***@127.0.0.1:1/0: " in shown
    assert "answers" not in shown
    assert "secret" not in shown


def test_replica(capsys: pytest.CaptureFixture[str]) -> None:
    with RedisServer("valkey") as primary, RedisServer("valkey", "--replicaof", "127.0.0.1", str(primary.port)) as replica:
        assert main(["doctor", "--redis", replica.url]) == 1
    assert "this server is a replica" in capsys.readouterr().out


def test_stock_arq_worker_on_the_queue(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    keys = Keys()
    with redis.Redis.from_url(redis_url) as client:
        client.set("tailrace:queue:health-check", "Jan-01 00:00:00 j_complete=0", ex=60)
        client.zadd(keys.queue(), {"job": 0})
        client.zadd(keys.workers(), {"killed a minute ago": client.time()[0] - 60})
        client.xadd(keys.dead(), {"job": "job"})
    assert main(["doctor", "--redis", redis_url]) == 1
    shown = capsys.readouterr().out
    assert "wrong    a stock arq worker serves tailrace's queue" in shown
    assert "no worker runs (1 jobs wait)" in shown
    assert "dead letters: 1" in shown


def test_keys_that_another_program_has_overwritten_are_named(any_redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    keys = Keys()
    with redis.Redis.from_url(any_redis_url) as client:
        for key in (keys.queue(2), keys.calls(), keys.dead()):
            client.set(key, "overwritten")
        client.zadd(keys.queue(), {"job": 0})
    assert main(["doctor", "--redis", any_redis_url]) == 1
    shown = capsys.readouterr().out
    for key in ("tailrace:queue:2", "tailrace:calls", "tailrace:dead"):
        assert f"another program has overwritten {key}: " in shown
    assert "no worker runs (1 jobs wait)" in shown


def test_every_partition_is_looked_at(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    keys = Keys()
    with redis.Redis.from_url(redis_url) as client:
        client.zadd(keys.workers(), {"alive": client.time()[0]})
        client.set(keys.lease(1), "alive")
        for partition, jobs in ((1, 2), (3, 3)):
            client.zadd(keys.queue(partition), dict.fromkeys(map(str, range(jobs)), 0))
        client.set(f"{keys.queue(3)}:health-check", "Jan-01 00:00:00 j_complete=0", ex=60)
    assert main(["doctor", "--redis", redis_url]) == 1
    shown = capsys.readouterr().out
    assert "workers: 1; jobs that wait: 5" in shown
    assert "warning  jobs wait in tailrace:queue:3, which no worker holds" in shown
    assert "tailrace:queue:1," not in shown
    assert "wrong    a stock arq worker serves tailrace's queue" in shown


@contextmanager
def answering(*parts: bytes) -> Iterator[str]:
    """Answer one request with some bytes, and then with nothing as long as the block lasts."""
    over = threading.Event()

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            for part in parts:
                connection.sendall(part)
            over.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/sse?channel=a"
        finally:
            over.set()
            thread.join()


def test_stream_of_another_system_is_judged_by_its_first_event(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(HEAD, CONNECT) as url:
        assert main(["doctor", "--redis", redis_url, "--url", url]) == 0
    assert "warning  the first event came after" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("parts", "said"),
    [([], "not even the answer's head came"), ([HEAD], "the first did not come"), ([HEAD, CONNECT[:-1]], "the first did not come")],
    ids=["nothing", "head", "part of an event"],
)
def test_stream_that_is_held_back(
    redis_url: str, parts: list[bytes], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.cli._probe._WAIT_S", 0.3)
    with answering(*parts) as url:
        assert main(["doctor", "--redis", redis_url, "--url", url]) == 1
    assert f"something on the way holds events back: {said}" in capsys.readouterr().out


def test_compressed_stream(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    zipped = HEAD.replace(b"Connection: close", b"Connection: close\r\nContent-Encoding: gzip")
    with answering(zipped, gzip.compress(CONNECT)) as url:
        assert main(["doctor", "--redis", redis_url, "--url", url]) == 0
    assert "warning  something on the way compresses the stream (gzip)" in capsys.readouterr().out


def test_url_that_is_no_stream(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n") as url:
        assert main(["doctor", "--redis", redis_url, "--url", url]) == 1
    assert "the answer is 404" in capsys.readouterr().out
    assert main(["doctor", "--redis", redis_url, "--url", "http://127.0.0.1:1/sse"]) == 1
    assert main(["doctor", "--redis", redis_url, "--url", "ftp://host"]) == 2


@pytest.mark.parametrize(
    "url", ["http://u:secret@[", "http://u:secret@x:99999/sse", "http://x:secret/sse", "http://u:secret@x/gr\xfcn", "ftp://u:secret@x"]
)
def test_what_is_no_url_is_said_without_its_secrets(redis_url: str, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--redis", redis_url, "--url", url]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("tailrace doctor: --url: ")
    assert "secret" not in said
