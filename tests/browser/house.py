"""A whole tailrace for the demo page, and people who sit before it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.service import Service

DESK, PHONE = (1280, 900), (360, 740)


@dataclass
class House:
    """Two edges, ingest, a worker with the dashboard's function, and the console, each with an origin of its own."""

    edges: list[Service]
    ingest: Service
    worker: Service
    console: Service

    def push(self, to: str, event: str, **data: Any) -> None:
        answer = httpx.post(f"{self.ingest.url}/push", json={"to": to, "event": event, "data": data}, timeout=20)
        assert answer.status_code == 200, answer.text

    def chat(self, number: int, room: str = "lobby") -> None:
        """Say something numbered in a room, as a program."""
        self.push(f"room:{room}", "chat-message", id=f"{room}-{number}", room=room, sender="bot", message=f"no. {number}")

    def outgrow_the_rings(self) -> None:
        """Push more than the edges' rings hold, to a channel that nobody is in."""
        answer = httpx.post(f"{self.ingest.url}/push", json=[{"to": "nobody", "data": number} for number in range(30)], timeout=20)
        assert answer.status_code == 200, answer.text


@contextmanager
def house(*, token: str = "") -> Iterator[House]:
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer()).url
        port = str(free_port())
        letting_in = ("--redis", redis, "--origins", f"http://127.0.0.1:{port}")
        edge = ("--retry-ms", "300", "--drain-s", "0.5", "--ring-entries", "20", *letting_in)  # little, so that gaps can come
        edges = [stack.enter_context(Service("edge", "--port", str(free_port()), *edge)) for _ in range(2)]
        ingest = stack.enter_context(Service("ingest", *letting_in, "--push-token", token))
        worker = stack.enter_context(Service("worker", "--redis", redis, "--functions", "tailrace.demo"))
        addresses = [word for each in edges for word in ("--edge-url", each.url)]
        console = Service("console", "--port", port, *addresses, "--ingest-url", ingest.url)
        yield House(edges, ingest, worker, stack.enter_context(console))


@dataclass
class Seat:
    """One person: a browser context with the page in it, and all that its log and its network said."""

    context: BrowserContext
    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.page.fill("#words", text)
        self.page.press("#words", "Enter")

    def said(self) -> list[str]:
        return self.page.locator("#messages .said").all_inner_texts()

    def logged(self, event: str) -> int:
        return self.page.locator(f"#log li[data-type='{event}']").count()

    def until_state(self, state: str, timeout_s: float = 15) -> None:
        expect(self.page.locator("#state")).to_have_attribute("data-state", state, timeout=timeout_s * 1000)

    def sideways(self) -> int:
        """How many pixels the page can be scrolled sideways."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def open(self, url: str) -> None:
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)
        self.until_state("open")


@contextmanager
def seat(browser: Browser, url: str, *, size: tuple[int, int] = DESK, expected: tuple[str, ...] = (), **options: Any) -> Iterator[Seat]:
    """Sit down before the page; at the end the browser's log has to be empty, but for what is expected."""
    width, height = size
    options = {"locale": "en-GB", **options}
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    try:
        taken = Seat(context, context.new_page())
        taken.open(url)
        yield taken
        assert [error for error in taken.errors if not any(part in error for part in expected)] == []
    finally:
        context.close()
