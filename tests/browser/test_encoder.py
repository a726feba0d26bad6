"""The encoder held against Chromium's EventSource."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from playwright.sync_api import Browser, Page

from tests.wire.streams import Pushed, check, large, pushed, stream

LISTEN = """names => new Promise((resolve, reject) => {
  const source = new EventSource('/stream'), found = [];
  for (const name of names) {
    source.addEventListener(name, event => found.push([event.type, event.data, event.lastEventId]));
  }
  source.addEventListener('the-end', () => { source.close(); resolve(found); });
  source.onerror = () => { source.close(); reject('the stream broke off'); };
})"""
END = b"event: the-end\ndata:\n\n"


class Streams(ThreadingHTTPServer):
    """Serves an empty page and one stream."""

    body = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Streams

    def do_GET(self) -> None:
        is_stream = self.path == "/stream"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if is_stream else "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.server.body if is_stream else b"<!doctype html><title>streams</title>")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def streams() -> Iterator[Streams]:
    with Streams() as server:
        yield server
        server.shutdown()


@pytest.fixture
def page(browser: Browser, streams: Streams) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(streams.url)
    yield page
    page.close()


def seen_in(page: Page, streams: Streams, events: list[Pushed]) -> list[list[str]]:
    streams.body = stream(events) + END
    found: list[list[str]] = page.evaluate(LISTEN, sorted({event.event for event in events}))
    return found


@settings(max_examples=60, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
@given(st.lists(pushed, min_size=1, max_size=20))
def test_chromium_sees_what_was_pushed(page: Page, streams: Streams, events: list[Pushed]) -> None:
    check(events, seen_in(page, streams, events))


def test_chromium_sees_large_events(page: Page, streams: Streams) -> None:
    check(large, seen_in(page, streams, large))
