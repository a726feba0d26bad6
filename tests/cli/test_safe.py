"""What others wrote does no harm where it is shown: on terminals, in logs, in browsers."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import httpx
import msgspec
import pytest
import redis

from tailrace.cli._merge import readable
from tailrace.service._plain import plain, plain_json
from tailrace.wire import Keys
from tests.support.flood import dial
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until_sync

EVIL = "\x1b[31m\x07\x7f\x9b2J\x85\u202e\u2066\u2028\n\r\U000e0041"
HARMFUL = [char for char in EVIL if not char.isprintable()]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


def test_nothing_harmful_is_left_of_a_text_and_json_means_the_same() -> None:
    assert not set(plain(EVIL)) & set(HARMFUL)
    shown = plain_json(msgspec.json.encode({EVIL: "grüße 🐟"}))
    assert not set(shown) & set(HARMFUL)
    assert json.loads(shown) == {EVIL: "grüße 🐟"}
    assert "grüße 🐟" in shown


def test_field_names_of_a_queued_job_reach_neither_log_nor_terminal(server: RedisServer) -> None:
    job: dict[str, object] = {"t": None, "f": "push", "a": [{"to": "all", "data": 1, EVIL: 1}], "k": {}, "et": 0}
    with redis.Redis.from_url(server.url) as client, Service("worker", "--redis", server.url) as worker:
        client.set("arq:job:evil", json.dumps(job, ensure_ascii=False).encode())
        client.zadd(Keys().queue(), {"evil": 1})
        wait_until_sync(lambda: client.xlen(Keys().dead()))
        wait_until_sync(lambda: "dead letter" in worker.stderr)
        logged = worker.stderr
    assert [char for char in HARMFUL if char != "\n" and char in logged] == []
    lines = [readable(line) for line in logged.splitlines()]
    assert not set("".join(lines)) & set(HARMFUL)
    command = [sys.executable, "-m", "tailrace.cli", "dead", "list", "--redis", server.url]
    for flags in ((), ("--json",)):
        done = subprocess.run([*command, *flags], capture_output=True, text=True, check=True)
        assert [char for char in HARMFUL if char != "\n" and char in done.stdout] == []


def test_a_terminals_log_obeys_nothing() -> None:
    code = "import logging, sys; from tailrace.service import configure_logging; configure_logging()\ntry: raise ValueError(sys.argv[1])\n"
    code += "except ValueError: logging.exception(sys.argv[1])"
    master, slave = pty.openpty()
    subprocess.run([sys.executable, "-c", code, EVIL], stderr=slave, check=True)
    os.close(slave)
    shown = b""
    with suppress(OSError):
        while part := os.read(master, 4096):
            shown += part
    os.close(master)
    text = shown.decode()
    assert "ValueError" in text
    assert [char for char in HARMFUL if char not in "\r\n" and char in text] == []


@pytest.mark.parametrize("name", ["edge", "ingest", "console"])
def test_every_answer_has_a_policy_and_malformed_requests_share_a_line(server: RedisServer, name: str) -> None:
    with Service(name, *(("--redis", server.url) if name != "console" else ())) as service:
        for path in ("/", "/healthz", "/nothing", "/schema", "/sse?channel=%20", "/config.json"):
            answer = httpx.get(f"{service.url}{path}", timeout=10)
            assert answer.headers.get_list("x-content-type-options") == ["nosniff"], path
            (policy,) = answer.headers.get_list("content-security-policy")
            assert "default-src 'none'" in policy, path
            assert "frame-ancestors 'none'" in policy, path
        for sent in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n") * 10:
            with dial(service.url) as connection:
                connection.sendall(sent)
                assert b"nosniff" in connection.recv(4096)
        assert service.stderr.count("malformed or unsupported HTTP requests") == 1
        assert "pip install" not in service.stderr
        assert len(service.stderr.splitlines()) == 1
