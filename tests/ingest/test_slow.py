"""Clients that keep what they began waiting, and those that let ingest wait for good reason."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import redis

from tailrace.wire import Keys
from tests.support.redis import RedisServer
from tests.support.service import Service, hurried

BODY = b'{"to": "room:1", "data": 1}'
HEAD = b"POST /push HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=1\r\nContent-Length: %d\r\n\r\n" % len(BODY)
LATE = b"HTTP/1.1 408 Request Timeout\r\n"


class Impatient(NamedTuple):
    service: Service
    server: redis.Redis

    def connected(self, sent: bytes = b"") -> socket.socket:
        return _connected(self.service, sent)

    @property
    def jobs(self) -> int:
        """How many were enqueued."""
        return int(self.server.zcard(Keys().queue()))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def impatient() -> Iterator[Impatient]:
    """Ingest without a worker, so that requests wait for their receipts longer than ingest waits for theirs."""
    with (
        RedisServer() as server,
        redis.Redis.from_url(server.url) as client,
        hurried("ingest", "--redis", server.url, "--body-s", "0.5") as service,
    ):
        yield Impatient(service, client)
        assert service.terminate() == 0
        assert "Traceback" not in service.stderr


def _connected(service: Service, sent: bytes) -> socket.socket:
    address = urlsplit(service.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=10)
    connection.sendall(sent)
    return connection


def _answers(connection: socket.socket) -> bytes:
    text = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(4096):
            text += part
    return text


@pytest.mark.parametrize("sent", [HEAD[:-2], HEAD + BODY[:-1], HEAD], ids=["head", "body", "no body"])
def test_a_request_that_does_not_come_whole_is_408(impatient: Impatient, sent: bytes) -> None:
    before = impatient.jobs
    with impatient.connected(sent) as connection:
        assert _answers(connection).startswith(LATE)
    assert impatient.jobs == before


def test_a_body_that_trickles_is_408_too(impatient: Impatient) -> None:
    with impatient.connected(HEAD.replace(b": %d\r" % len(BODY), b": 100000\r")) as connection:
        connection.settimeout(0.02)
        for _ in range(500):
            with suppress(TimeoutError):
                assert connection.recv(1) == LATE[:1]
                break
            connection.sendall(b" ")
        else:
            pytest.fail("it is taken as long as it comes")


def test_a_connection_without_a_request_is_ended(impatient: Impatient) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with impatient.connected() as silent, impatient.connected(request) as after:
        assert _answers(silent) == b""
        assert after.recv(4096).endswith(b'alive"}')
        after.sendall(b"\r\n")  # a line before a request is passed over (RFC 9112, 2.2)
        assert _answers(after) == b""


def test_one_that_was_answered_early_is_ended_where_its_body_does_not_come(redis_server: RedisServer) -> None:
    with (
        Service("ingest", "--redis", redis_server.url, "--push-token", "t", "--body-s", "0.5") as service,
        _connected(service, HEAD + b"{") as connection,
    ):
        assert _answers(connection).count(b"HTTP/1.1 401 Unauthorized\r\n") == 1


def test_who_waits_for_a_receipt_has_the_time_it_asked_for(impatient: Impatient) -> None:
    with impatient.connected(HEAD.replace(b"wait=1", b"wait=2") + BODY) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 202 Accepted\r\n")


@pytest.mark.parametrize(
    "behind", [HEAD + BODY, HEAD, HEAD[:-2] + b"x: " + b"y" * 1_000_000, HEAD[:-2] + b"x: " + b"y" * 32_000 + b"\r\n\r\n\0"]
)
def test_a_request_behind_one_that_is_being_answered_may_be_sent_again(impatient: Impatient, behind: bytes) -> None:
    before = impatient.jobs
    with impatient.connected(HEAD + BODY + behind) as connection:
        answers = _answers(connection)
    assert answers.startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert answers.count(b"HTTP/1.1") == 1
    assert b"connection: close" in answers
    assert impatient.jobs == before + 1


def test_a_head_that_began_behind_such_a_request_has_its_time_after_the_answer(impatient: Impatient) -> None:
    with impatient.connected(HEAD + BODY + HEAD[:-2]) as connection:
        answers = _answers(connection)
    assert answers.startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert LATE in answers


def test_who_reads_slowly_gets_all_of_an_answer_and_who_reads_nothing_is_cut(system_url: str) -> None:
    body = b"[%s]" % b",".join([b'{"to": "room:1", "text": "%s"}' % (b"x" * 1_000_000)] * 10)
    request = HEAD.replace(b"wait=1", b"wait=20").replace(b": %d\r\n" % len(BODY), b": %d\r\nConnection: close\r\n" % len(body)) + body
    with (
        hurried("ingest", "--redis", system_url, "--body-s", "2") as service,
        _asking(service, request) as stalled,
        _asking(service, request) as slow,
    ):
        begun = time.monotonic()
        assert _read_all(slow, pause_s=0.025) > len(body)
        assert time.monotonic() - begun > 3  # the limit, and a turn of who looks
        assert _read_all(stalled, pause_s=0) < len(body)


def _asking(service: Service, request: bytes) -> socket.socket:
    """Ask through a connection whose buffer takes little of an answer, and read the first of it."""
    address = urlsplit(service.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    connection.settimeout(20)
    connection.connect((address.hostname, address.port))
    connection.sendall(request)
    assert connection.recv(4096, socket.MSG_PEEK).startswith(b"HTTP/1.1 200 OK\r\n")
    return connection


def _read_all(connection: socket.socket, pause_s: float) -> int:
    """Read to the end, or until it is cut, and count."""
    got = 0
    with suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            got += len(part)
            time.sleep(pause_s)
    return got
