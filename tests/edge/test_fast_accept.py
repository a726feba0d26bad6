"""The door: what is plain to it, every HTTP parser reads in the same way, and it gives the answer that the HTTP protocol gives."""

import re

import httptools
import pytest
from hypothesis import example, given, strategies as st

from tailrace.edge import EdgeConfig
from tailrace.edge._engine import Engine
from tailrace.edge.http._fast_accept import Door
from tailrace.events import Registry
from tailrace.service import Sockets
from tailrace.wire import ALL, Keys
from tests.edge.conftest import Log, StartEdge
from tests.edge.test_handover import REQUEST, connection, read_until
from tests.edge.tools import gives
from tests.support.wait import wait_until

CHROMIUM = (
    b"GET /sse?channel=room%3A1&client_id=6ffb1c74-4ca5-4b92-9a2e-6ef8d4d1b0a1 HTTP/1.1\r\nHost: edge:8000\r\nConnection: keep-alive\r\n"
    b'sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n'
    b"Origin: https://example.org\r\nLast-Event-ID: 1hxICIAAAAAAA\r\nCookie: a=b; c=d\r\n\r\n"
)
CURL = b"GET /sse?channel=a HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"
PLAIN = [REQUEST, CHROMIUM, CURL, b"GET /sse HTTP/1.1\r\n\r\n", b"GET /sse? HTTP/1.1\r\nx:\r\ny: \t a b \t\r\nx: 2\r\n\r\n"]

NOT_PLAIN = b"x: \xe9\r\n\r\n"


@pytest.fixture(scope="module")
def door() -> Door:
    return Door(Engine(EdgeConfig()), Sockets())


class Parsed:
    """What httptools, and so uvicorn, makes of a request."""

    def __init__(self, data: bytes) -> None:
        self.url, self.headers, self.complete = b"", list[tuple[bytes, bytes]](), False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_message_complete(self) -> None:
        self.complete = True


@pytest.mark.parametrize("request_", PLAIN)
def test_what_browsers_and_others_send_is_plain(door: Door, request_: bytes) -> None:
    assert door.read(request_) is not None


@pytest.mark.parametrize(
    "request_",
    [
        REQUEST[:-2],
        REQUEST + b"x",
        REQUEST * 2,
        REQUEST.replace(b"GET", b"HEAD"),
        REQUEST.replace(b"1.1", b"1.0"),
        REQUEST.replace(b"/sse", b"/SSE"),
        REQUEST.replace(b"/sse", b"/sse/"),
        REQUEST.replace(b"/sse", b"/s%73e"),
        REQUEST.replace(b"/sse", b"/sse#a"),
        REQUEST.replace(b"/sse", b"http://edge/sse"),
        REQUEST.replace(b"\r\n", b"\n"),
        REQUEST[:-2] + b" folded\r\n\r\n",
        REQUEST[:-2] + b"no colon\r\n\r\n",
        REQUEST[:-2] + b"x : y\r\n\r\n",
        REQUEST[:-2] + NOT_PLAIN,
        REQUEST[:-2] + b"x: a\0b\r\n\r\n",
        *[REQUEST[:-2] + field + b"\r\n\r\n" for field in (b"Content-Length: 1", b"transfer-encoding: chunked", b"Expect: 100-continue")],
        *[REQUEST[:-2] + field + b"\r\n\r\n" for field in (b"Connection: close", b"connection: Upgrade", b"Upgrade: websocket")],
        REQUEST[:-2] + b"x: " + b"a" * 9000 + b"\r\n\r\n",
    ],
)
def test_anything_else_is_left_to_the_protocol(door: Door, request_: bytes) -> None:
    assert door.read(request_) is None


BITS = (
    *(
        b"GET ",
        b"/sse",
        b"?",
        b"channel=a",
        b"&",
        b"%41",
        b"#",
        b" ",
        b" HTTP/1.1",
        b"\r\n",
        b"\n",
        b"\r",
        b":",
        b"x",
        b"\t",
        b"\0",
        b"\xff",
    ),
    *(b"Connection: keep-alive", b"connection:close", b"Content-Length: 0", b"Transfer-Encoding: ", b"chunked", b"Host: a", b'"'),
)


@given(st.lists(st.sampled_from(BITS) | st.binary(max_size=3), max_size=12), st.sampled_from(PLAIN), st.data())
@example([], REQUEST, None)
def test_what_is_plain_is_read_as_the_protocol_reads_it(
    door: Door, parts: list[bytes], request_: bytes, data: st.DataObject | None
) -> None:
    at = data.draw(st.integers(0, len(request_))) if data else 0
    request_ = request_[:at] + b"".join(parts) + request_[at:]
    found = door.read(request_)
    if found is not None:
        parsed = Parsed(request_)
        url = httptools.parse_url(parsed.url)
        assert parsed.complete
        assert parsed.parser.should_keep_alive()
        assert not parsed.parser.should_upgrade()
        assert (parsed.parser.get_method(), parsed.parser.get_http_version(), url.path) == (b"GET", "1.1", b"/sse")
        assert found == (url.query or b"", [(name, value.strip(b" \t")) for name, value in parsed.headers])


def _without_what_differs(text: bytes) -> bytes:
    """Leave out date, time, client id, `retry:` and the chunk's length."""
    text = re.sub(rb"\r\n[0-9a-f]+\r\n", b"\r\n-\r\n", text)
    return re.sub(rb"\d{4}-[^\"]+Z|date: [^\r]*|retry: \d+|[0-9a-f]{8}-[0-9a-f-]{27}", b"-", text)


@pytest.mark.anyio
async def test_both_ways_give_the_same_answer(start_edge: StartEdge, redis_url: str) -> None:
    edge = start_edge(redis_url, origins="https://example.org", heartbeat_s=30)
    bad = [REQUEST.replace(b"/sse", b"/sse?channel=%20"), REQUEST.replace(b"/sse", b"/sse?rewind=x")]
    for request in (*PLAIN[:3], CHROMIUM.replace(b"example.org", b"elsewhere.org"), *bad):
        answers = []
        for sent in (request, request[:-2] + NOT_PLAIN):
            with connection(edge, sent) as stream:
                answers.append(_without_what_differs(read_until(stream, b"}")))
        assert answers[0] == answers[1]
        assert answers[0].startswith(b"HTTP/1.1 400 " if request in bad else b"HTTP/1.1 200 ")


@pytest.mark.anyio
async def test_who_is_gone_before_its_stream_begins_leaves_no_ghost(start_edge: StartEdge, redis_url: str, log: Log) -> None:
    edge = start_edge(redis_url)
    for _ in range(50):
        with connection(edge, REQUEST):
            pass
    with connection(edge, REQUEST) as stream:
        read_until(stream, b"heartbeat_s")
        await wait_until(lambda: gives(Registry(log.redis, Keys()).recipients([ALL]), [1]))
