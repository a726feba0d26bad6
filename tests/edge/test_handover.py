"""What `tailrace edge` does with sockets and requests of all kinds, and with a uvicorn that has changed."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from tailrace.edge.http import _handover
from tailrace.events import Registry
from tailrace.wire import ALL, Keys
from tests.edge.conftest import Log, StartEdge, make_edge
from tests.edge.tools import gives
from tests.support.redis import RedisServer
from tests.support.service import Service, hurried
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
REQUEST = b"GET /sse HTTP/1.1\r\nHost: edge\r\n\r\n"


@pytest.fixture
def edge(start_edge: StartEdge, redis_url: str) -> Service:
    return start_edge(redis_url)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Service]:
    """Give one edge to all tests that leave no trace in it."""
    with RedisServer() as server, make_edge(server.url) as edge:
        yield edge
        assert "Traceback" not in edge.stderr


@contextmanager
def connection(edge: Service, request: bytes) -> Iterator[socket.socket]:
    address = urlsplit(edge.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connected:
        connected.sendall(request)
        yield connected


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    """Read up to some bytes, or to the end."""
    text = b""
    while wanted not in text and (part := connection.recv(4096)):
        text += part
    return text


def answer(edge: Service, request: bytes) -> bytes:
    """Ask, and read to the end."""
    with connection(edge, request) as connected:
        return read_until(connected, b"not there")


async def test_a_client_of_http_1_0_gets_no_chunks(edge: Service, log: Log) -> None:
    with connection(edge, b"GET /sse HTTP/1.0\r\nHost: edge\r\n\r\n") as stream:
        head, _, body = read_until(stream, b"heartbeat_s").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"connection: close" in head
        assert b"transfer-encoding" not in head
        assert body.startswith(b":tailrace\nretry: ")
        await log.append("all")
        assert b"event: message\n" in read_until(stream, b"data: {")
    assert answer(edge, b"GET /healthz HTTP/1.0\r\n\r\n").endswith(b'\r\n\r\n{"state":"alive"}')
    refusal = answer(edge, b"GET /sse?channel= HTTP/1.0\r\n\r\n")
    assert refusal.startswith(b"HTTP/1.1 400 ")
    assert refusal.endswith(b"}")


async def test_who_is_put_off_over_http_1_0_gets_no_chunks_either(start_edge: StartEdge, redis_url: str) -> None:
    edge = start_edge(redis_url, max_connections=1)
    with connection(edge, REQUEST) as stream:
        read_until(stream, b"heartbeat_s")
        assert b"\r\n\r\n:busy\nretry: " in answer(edge, b"GET /sse HTTP/1.0\r\n\r\n")


async def test_a_stream_begins_with_one_write(edge: Service) -> None:
    with connection(edge, REQUEST) as stream:
        assert b"heartbeat_s" in stream.recv(1 << 16)


async def test_a_batch_is_one_write(edge: Service, log: Log) -> None:
    """A write is one chunk."""
    with connection(edge, REQUEST.replace(b"/sse", b"/sse?channel=a&channel=b")) as stream:
        read_until(stream, b"heartbeat_s")
        for channel in "ab":
            await log.append(channel, times=100)  # in one script, which wakes the reader once
        text = b""
        while b'"n":199,' not in text:
            text += stream.recv(1 << 16)
    chunks = re.findall(rb"\r\n[0-9a-f]+\r\n", b"\r\n" + text)
    assert text.count(b"event: message\n") == 200
    assert len(chunks) - text.count(b"event: heartbeat\n") <= 2


async def test_what_a_client_sends_after_its_request_is_not_minded(edge: Service, log: Log) -> None:
    with connection(edge, REQUEST) as stream:
        read_until(stream, b"heartbeat_s")
        stream.sendall(b"x" * 100_000)
        await log.append("all")
        assert b"event: message" in read_until(stream, b"data: {")


async def test_requests_behind_one_for_a_stream_leave_no_ghost(edge: Service, log: Log) -> None:
    recipients = Registry(log.redis, Keys()).recipients
    for request in (REQUEST * 3, REQUEST + b"GET /healthz HTTP/1.1\r\nHost: edge\r\n\r\n", REQUEST + REQUEST[:-2]):
        with connection(edge, request) as stream:
            read_until(stream, b"heartbeat_s")
            await log.append("all")
            assert b"HTTP/1.1" not in read_until(stream, b"event: message")
            assert await recipients([ALL]) == [1]
        await wait_until(lambda: gives(recipients([ALL]), [0]))
    for _ in range(20):
        with connection(edge, REQUEST * 3):
            pass  # gone before the answer
    await wait_until(lambda: gives(recipients([ALL]), [0]))


async def test_a_request_behind_another_ends_the_connection(lasting: Service) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: edge\r\n\r\n"
    assert answer(lasting, request * 2).count(b"HTTP/1.1 200") == 1
    with connection(lasting, request) as connected:
        for _ in range(3):
            assert read_until(connected, b"alive")
            connected.sendall(request)


@pytest.mark.parametrize(
    "head", [b"x: " + b"a" * 40_000_000, b"a: b\r\n" * 20_000, b"x: " + b"a" * 32_768], ids=["a value", "lines", "just"]
)
async def test_a_head_over_32_kib_is_refused(lasting: Service, head: bytes) -> None:
    with connection(lasting, b"") as connected:
        try:
            connected.sendall(REQUEST[:-2] + head + b"\r\n\r\n")
        except (ConnectionError, TimeoutError):
            assert len(head) > 1_000_000  # told long before all was sent
        assert read_until(connected, b"\r\n\r\n").startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


@pytest.mark.parametrize("trailers", [b"x: " + b"a" * 1_000_000, b"a: b\r\n" * 100_000], ids=["a value", "lines"])
async def test_trailers_over_32_kib_are_refused(lasting: Service, trailers: bytes) -> None:
    with connection(lasting, b"GET /healthz HTTP/1.1\r\nHost: edge\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n") as connected:
        with suppress(ConnectionError):
            connected.sendall(trailers + b"\r\n\r\n")
        refusal = b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
        assert refusal in read_until(connected, refusal)


async def test_a_head_of_32_kib_is_fine(lasting: Service) -> None:
    begun = REQUEST[:-2] + b"x: "
    with connection(lasting, begun + b"a" * (32_768 - len(begun) - 4) + b"\r\n\r\n") as stream:
        assert read_until(stream, b"heartbeat_s").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"BREW /sse HTTP/1.1\r\nHost: edge\r\n\r\n", b"501"),
        (b"BREW /sse HTTP/1.1\r\nHost: edge\r\nx: %s\r\n\r\n" % (b"y" * 100_000), b"501"),
        (b"PURGE /sse HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n", b"405"),
        (b"PURGE / HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n", b"405"),
        (b"GET /sse HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"GET http://edge HTTP/1.1\r\nHost: edge\r\n\r\n", b"400"),
    ],
)
async def test_odd_requests_get_an_answer(lasting: Service, request_: bytes, status: bytes) -> None:
    assert answer(lasting, request_).startswith(b"HTTP/1.1 " + status)


async def test_connections_that_say_nothing_whole_are_ended(redis_url: str) -> None:
    health = b"GET /healthz HTTP/1.1\r\nHost: edge\r\n"
    with hurried("edge", "--redis", redis_url) as edge, ExitStack() as stack:
        stream, silent, slow, after, body = [
            stack.enter_context(connection(edge, request))
            for request in (REQUEST, b"", REQUEST[:-2], health + b"\r\n", health + b"Content-Length: 10\r\n\r\n")
        ]
        for answered in (after, body):
            assert read_until(answered, b"alive")
            answered.sendall(b"\r\n")  # a line before a request is passed over (RFC 9112, 2.2)
        for ended in (silent, after, body):
            with suppress(ConnectionResetError):
                assert ended.recv(1) == b""
        assert read_until(slow, b"not there").startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert read_until(stream, b"heartbeat_s")
        stream.settimeout(1)
        with pytest.raises(TimeoutError):
            stream.recv(1)  # it is open


async def test_the_seam_is_there() -> None:
    await _handover.rehearse()


@pytest.mark.parametrize(
    "change",
    [
        "del p.HttpToolsProtocol._unset_keepalive_if_required",
        "del p.FlowControl.resume_reading",
        "cycle.disconnected = cycle.response_complete = property(lambda self: False, lambda self, _: None)",
        "cycle.chunked_encoding = property(lambda self: False, lambda self, _: None)",
    ],
)
def test_a_changed_uvicorn_is_refused_at_start(redis_url: str, change: str) -> None:
    begin = "import uvicorn.protocols.http.httptools_impl as p\ncycle = p.RequestResponseCycle"
    program = f"{begin}\n{change}\nfrom tailrace.cli import main\nraise SystemExit(main())"
    command = [sys.executable, "-c", program, "edge", "--redis", redis_url, "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "doesn't hand sockets over as this edge needs: install one from 0.34 to" in ended.stderr
