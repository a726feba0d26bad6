"""Chromium's EventSource behind the proxies' configurations that we ship: it never gives up, whichever edges are away."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from playwright.sync_api import Browser, Page, Response

from tests.edge.tools import crowd
from tests.support.dns import NameServer
from tests.support.ports import free_port
from tests.support.proxy import Proxy, caddy, loopback, nginx
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until_sync

LISTEN = """() => {
  window.numbers = [];
  window.states = new Set();
  const source = new EventSource(`/sse?channel=a&client_id=${crypto.randomUUID()}`);
  const look = () => window.states.add(source.readyState);
  source.onmessage = event => window.numbers.push(JSON.parse(event.data).n);
  source.onerror = look;
  setInterval(look, 10);
}"""
CLOSED = 2
ORDINARY = ("--retry-ms", "100", "--drain-s", "1")
FULL = (*ORDINARY, "--max-connections", "1", "--busy-retry-ms", "300")


@dataclass
class Reader:
    """A page with one EventSource, and the status of each answer that it got."""

    page: Page
    statuses: list[int] = field(default_factory=list)

    def listen(self, proxy: Proxy) -> None:
        self.page.goto(f"{proxy.url}/healthz")  # any page of this origin
        self.page.on("response", self._note)
        self.page.evaluate(LISTEN)

    def _note(self, response: Response) -> None:
        self.statuses.append(response.status)

    def numbers(self) -> list[int]:
        found: list[int] = self.page.evaluate("window.numbers")
        return found

    def states(self) -> list[int]:
        found: list[int] = self.page.evaluate("[...window.states]")
        return found


class Site:
    """Two edges at one port of two addresses, behind both proxies."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._redis = stack.enter_context(RedisServer()).url
        stack.enter_context(Service("worker", "--redis", self._redis))
        self._ingest = stack.enter_context(Service("ingest", "--redis", self._redis))
        self._hosts, self._port, self._pushed = loopback(2), free_port(), 0
        self.edges = self.start_edges(*ORDINARY)
        names = stack.enter_context(NameServer({"edge": self._hosts, "console": self._hosts}))
        self.proxies = [
            stack.enter_context(caddy(names.address, {"edge": self._port, "console": self._port})),
            stack.enter_context(nginx([f"{host}:{self._port}" for host in self._hosts])),
        ]

    def start_edges(self, *settings: str) -> list[Service]:
        where = ("--redis", self._redis, "--port", str(self._port))
        return [self._stack.enter_context(Service("edge", *where, "--host", host, *settings)) for host in self._hosts]

    def push(self) -> list[int]:
        """Push the next number, and give all so far."""
        answer = httpx.post(f"{self._ingest.url}/push", json={"to": "a", "data": {"n": self._pushed}}, timeout=20)
        assert answer.status_code == 200, answer.text
        self._pushed += 1
        return list(range(self._pushed))


@contextmanager
def reading(browser: Browser, proxy: Proxy) -> Iterator[Reader]:
    context = browser.new_context(ignore_https_errors=True)
    try:
        reader = Reader(context.new_page())
        reader.listen(proxy)
        yield reader
    finally:
        context.close()


def until_all_have(readers: list[Reader], numbers: list[int]) -> None:
    wait_until_sync(lambda: all(reader.numbers() == numbers for reader in readers), timeout_s=20)


def until_answered(readers: list[Reader]) -> None:
    """Wait until each has come again and has been sent away."""
    before = [len(reader.statuses) for reader in readers]
    wait_until_sync(
        lambda: all(reader.states() and len(reader.statuses) > count for reader, count in zip(readers, before, strict=True)), timeout_s=20
    )


@pytest.mark.timeout(150)
def test_a_browser_never_gives_up(browser: Browser) -> None:
    with ExitStack() as stack:
        site = Site(stack)
        readers = [stack.enter_context(reading(browser, proxy)) for proxy in site.proxies]
        one, other = site.edges
        wait_until_sync(lambda: all(1 in reader.states() for reader in readers))
        until_all_have(readers, site.push())
        one.kill()
        until_all_have(readers, site.push())
        one.start()
        assert other.terminate() == 0  # it drains
        until_all_have(readers, site.push())
        one.kill()
        until_answered(readers)  # by the proxies, in the edges' place
        missed = site.push()
        full = site.start_edges(*FULL)
        with crowd(full[0], 1), crowd(full[1], 1):
            until_answered(readers)
        until_all_have(readers, missed)
        until_all_have(readers, site.push())
        for reader in readers:
            assert CLOSED not in reader.states()
            assert set(reader.statuses) == {200}
