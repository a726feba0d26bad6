"""The encoder held against parsers that nobody here wrote: httpx-sse (Python) and eventsource-parser (npm)."""

import base64
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import httpx_sse
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.wire.streams import Pushed, check, large, pushed, stream

PARSERS = Path(__file__).parent / "parsers"
events = st.lists(pushed, max_size=8)


def with_httpx_sse(body: bytes) -> list[list[str]]:
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    return [[event.event, event.data, event.id] for event in httpx_sse.EventSource(response).iter_sse()]


@given(events)
def test_httpx_sse_sees_what_was_pushed(events: list[Pushed]) -> None:
    check(events, with_httpx_sse(stream(events)))


def test_httpx_sse_sees_large_events() -> None:
    check(large, with_httpx_sse(stream(large)))


class Node:
    """The npm parser, kept running: a stream in, its events out."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(["node", "parse.mjs"], cwd=PARSERS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def parse(self, body: bytes) -> list[list[str]]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(base64.b64encode(body) + b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=list[list[str]])

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    if not shutil.which("npm"):
        pytest.skip("npm is not installed (Debian: apt-get install npm)")
    if not (PARSERS / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=PARSERS, check=True)
    process = Node()
    yield process
    process.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events)
def test_eventsource_parser_sees_what_was_pushed(node: Node, events: list[Pushed]) -> None:
    check(events, node.parse(stream(events)))


def test_eventsource_parser_sees_large_events(node: Node) -> None:
    check(large, node.parse(stream(large)))
