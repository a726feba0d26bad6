"""What an untrusted client can make edge, ingest and console hold, seen from outside."""

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.flood import closed, dial, flood, rss_kb
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until_sync

COUNT = 500
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LINE = b"POST /push HTTP/1.1\r\nHost: localhost\r\n"
HEADS: dict[str, bytes] = {
    "tiny fields": LINE + b"a:\r\n" * 7500,
    "as many fields as are taken": LINE + b"".join(b"a%d:%s\r\n" % (n, b"x" * 240) for n in range(120)),
    "one value": LINE + b"a: " + b"x" * 32_000,
    "a long target": b"GET /sse?" + b"x" * 32_000,
    "trailers": LINE + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n" + b"a:\r\n" * 7500,
    "a body": LINE + b"Content-Length: 16000000\r\n\r\n" + b"x" * 32_000,
}
Start = Callable[..., Service]


@pytest.fixture
def start(redis_url: str) -> Iterator[Start]:
    """Start a service that may open so many files."""
    with ExitStack() as stack:

        def started(name: str, *arguments: str, files: int = 4096) -> Service:
            service = Service(name, *(() if name == "console" else ("--redis", redis_url)), *arguments)
            service._command = ("sh", "-c", f'ulimit -n {files} && exec "$@"', "sh", *service._command)
            return stack.enter_context(service)

        yield started


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc to see memory")
@pytest.mark.parametrize("name", ["edge", "ingest", "console"])
@pytest.mark.parametrize("kind", HEADS)
def test_an_unfinished_request_holds_little_memory(start: Start, name: str, kind: str) -> None:
    service = start(name, *(("--push-token", "secret") if name == "ingest" else ()))
    httpx.get(f"{service.url}/healthz")
    before = rss_kb(service.pid)
    with flood(service, COUNT, lambda _: HEADS[kind]):
        assert httpx.get(f"{service.url}/healthz", timeout=10).status_code == 200  # answered after what was sent before
        grown = rss_kb(service.pid) - before
    print(f"{name}, {kind}: {grown / 1024:.0f} MB for {COUNT} connections, {grown / COUNT:.0f} KiB each")
    assert grown / COUNT < 200
    assert grown < 48 << 10


@pytest.mark.parametrize("name", ["edge", "ingest", "console"])
@pytest.mark.parametrize("fields", [128, 129])
def test_fields_are_counted(start: Start, name: str, fields: int) -> None:
    service = start(name)
    with dial(service.url) as connection:
        head = REQUEST[:-2] + b"a: b\r\n" * (fields - 1) + b"\r\n"
        connection.sendall(head)
        expected = b"HTTP/1.1 200 " if fields == 128 else b"HTTP/1.1 431 "
        assert connection.recv(4096).startswith(expected)


def test_a_stream_asked_for_with_too_many_fields_is_431(start: Start) -> None:
    service = start("edge")
    with dial(service.url) as connection:
        connection.sendall(b"GET /sse HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * 128 + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 431 ")


def test_trailers_never_stand_among_the_fields_of_the_head(start: Start) -> None:
    service = start("ingest", "--push-token", "secret")
    with dial(service.url) as connection:
        chunks = b'1b\r\n{"to": "room:1", "data": 1}\r\n0\r\nAuthorization: Bearer secret\r\n\r\n'
        connection.sendall(LINE + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("name", ["edge", "ingest", "console"])
@pytest.mark.parametrize("sent", [b"", LINE, REQUEST], ids=["nothing", "unfinished", "kept alive"])
def test_idle_sockets_of_one_client_keep_nobody_out(start: Start, name: str, sent: bytes) -> None:
    service = start(name, files=300)
    with flood(service, 290, lambda _: sent) as sockets:
        for _ in range(20):
            with dial(service.url, "127.0.0.2") as other:
                other.sendall(REQUEST)
                assert other.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert 0 < closed(sockets) < 150
        if name != "console":
            assert httpx.get(f"{service.url}/readyz").json() == {"state": "ready"}
    assert "is away" not in service.stderr
    assert service.stderr.count("idle connection closed to make room") == 1


def test_sockets_of_one_address_are_limited_from_accept_on(start: Start) -> None:
    service = start("edge", "--max-connections-per-address", "5")
    with flood(service, 100, lambda _: REQUEST) as sockets:
        wait_until_sync(lambda: closed(sockets) == 100 - 8)
        with dial(service.url, "127.0.0.2") as other:
            other.sendall(REQUEST)
            assert other.recv(4096).startswith(b"HTTP/1.1 200 ")
    wait_until_sync(lambda: _is_answered(service))  # all are free again


def test_sockets_of_a_trusted_proxy_are_not_its_clients(start: Start) -> None:
    service = start("edge", "--max-connections-per-address", "5", "--trusted-proxies", "127.0.0.1")
    with flood(service, 100, lambda _: REQUEST) as sockets:
        assert _is_answered(service)
        assert closed(sockets) == 0


def _is_answered(service: Service) -> bool:
    with suppress(OSError), dial(service.url) as connection:
        connection.sendall(REQUEST)
        return connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    return False


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux' prlimit")
@pytest.mark.parametrize("name", ["edge", "ingest"])
def test_a_lack_of_descriptors_is_called_by_its_name(name: str) -> None:
    with RedisServer() as server, Service(name, "--redis", server.url) as service:
        if name == "ingest":
            _readiness(service)
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (_in_use(service.pid) - 1,) * 2)
        server.kill()
        server.start()
        with suppress(OSError):
            wait_until_sync(lambda: _readiness(service) and "EMFILE" in service.stderr)
        assert "no file descriptor is left to connect to Redis (EMFILE)" in service.stderr
        assert not [line for line in service.stderr.splitlines() if "EMFILE" in line and ("is away" in line or "unreachable" in line)]


def _readiness(service: Service) -> bool:
    with suppress(OSError, httpx.HTTPError):
        httpx.get(f"{service.url}/readyz")
    return True


def _in_use(pid: int) -> int:
    """Return how many descriptors below a process' highest there are; it can open none above them."""
    return max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()) + 1
