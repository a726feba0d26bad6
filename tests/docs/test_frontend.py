"""The front-end guide's JavaScript, bundled as it is printed, runs in Chromium against real edges."""

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route

from tests.browser.conftest import browser
from tests.docs.pages import ROOT, Block, blocks
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until_sync

__all__ = ["browser"]

GUIDE = ROOT / "docs/guides/frontend.md"
PACKAGES = ("react@19", "react-dom@19", "esbuild@0.25", "@microsoft/fetch-event-source@2.0.1")
BLOCKS = [block for block in blocks(GUIDE) if block.language == "js"]
UNNAMED = [block for block in BLOCKS if not block.code.startswith("// ")]
_FILE = re.compile(r"// (\w+\.js)\n")
ENTRY = """
import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { openEvents } from "./events.js";
import { Room } from "./Room.js";
import { fetchEvents } from "./fetchEvents.js";

let root;
window.guide = {
  openEvents,
  fetchEvents,
  show: (name) => {
    root ??= createRoot(document.body.appendChild(document.createElement("main")));
    root.render(name ? createElement(Room, { name }) : null);
  },
};
"""
LISTEN = """(path) => {
  window.seen = [];
  window.lost = [];
  window.source = window.guide.openEvents(path, ["room:1"], {
    number: (data) => window.seen.push(data.n),
    drain: () => (window.drains = (window.drains ?? 0) + 1),
    connect: () => (window.connects = (window.connects ?? 0) + 1),
  }, (channel) => window.lost.push(channel));
}"""
FETCH = """() => {
  window.seen = [];
  window.guide.fetchEvents("/sse?channel=room:1", { "X-Any": "1" }, (type, data) => {
    if (type === "connect") window.connects = (window.connects ?? 0) + 1;
    if (type === "number") window.seen.push(data.n);
  });
}"""


class Site(NamedTuple):
    """An edge whose streams end within a second, and the ingest before it."""

    edge: str
    ingest: str

    def push(self, **push: Any) -> dict[str, Any]:
        answer = httpx.post(f"{self.ingest}/push", json=push, timeout=20)
        assert answer.status_code == 200, answer.text
        receipt: dict[str, Any] = answer.json()
        return receipt


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("npm"):
        pytest.skip("npm is not installed (Debian: apt-get install npm)")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--no-package-lock", *PACKAGES]
    try:
        installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry doesn't answer")
    if installed.returncode:
        pytest.skip(f"npm can't install {PACKAGES}: {installed.stderr[-300:]}")
    for block in BLOCKS:
        if named := _FILE.match(block.code):
            (folder / named[1]).write_text(block.code)
    (folder / "entry.js").write_text(ENTRY)
    options = ["--bundle", "--loader:.js=jsx", "--jsx=automatic", '--define:process.env.NODE_ENV="development"', "--outfile=out.js"]
    subprocess.run([folder / "node_modules/.bin/esbuild", "entry.js", *options], cwd=folder, check=True, capture_output=True)
    return folder / "out.js"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        redis = ("--redis", stack.enter_context(RedisServer()).url)
        stack.enter_context(Service("worker", *redis))
        edge = stack.enter_context(Service("edge", *redis, "--retry-ms", "100", "--max-connection-age-s", "1"))
        yield Site(edge.url, stack.enter_context(Service("ingest", *redis)).url)


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(f"{site.edge}/healthz")  # any page of this origin
    yield page
    context.close()


def value(page: Page, name: str) -> Any:
    return page.evaluate(f"window.{name} ?? 0")


def push_over_reconnects(page: Page, site: Site) -> list[int]:
    """Push numbers one by one until the client has connected three times, and return them."""
    wait_until_sync(lambda: value(page, "connects") >= 1, 20)
    pushed: list[int] = []
    numbers = itertools.count()

    def pushed_enough() -> bool:
        pushed.append(next(numbers))
        site.push(to="room:1", event="number", data={"n": pushed[-1]})
        return bool(value(page, "connects") >= 3)

    wait_until_sync(pushed_enough, 30)
    return pushed


@pytest.mark.parametrize("block", UNNAMED, ids=lambda block: f"line-{block.line}")
def test_a_block_without_a_name_prints_what_is_pushed(block: Block, page: Page, site: Site) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.evaluate("code => { new Function(code)(); }", block.code)

    def heard() -> bool:
        page.evaluate("1")  # lets Playwright hand over what the console said
        if any(word in block.code for word in ('"chat-message"',)):
            site.push(to="room:1", event="chat-message", data={"n": 1})
            site.push(to="news", data={"n": 2})
            return {"chat", "message"} <= {line.split()[0] for line in said}
        return any(line.startswith("connected") for line in said)

    wait_until_sync(heard, 20)


def test_open_events_delivers_once_and_in_order_over_reconnects(page: Page, site: Site, bundle: Path) -> None:
    page.add_script_tag(path=bundle)
    page.evaluate(LISTEN, "/sse")
    pushed = push_over_reconnects(page, site)
    wait_until_sync(lambda: value(page, "seen") == pushed, 20)
    assert value(page, "drains") >= 1
    assert value(page, "lost") == []


def test_open_events_tells_of_a_reset_and_of_a_rejected_request(page: Page, site: Site, bundle: Path) -> None:
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.add_script_tag(path=bundle)
    page.evaluate(LISTEN, "/sse?last_event_id=unreadable")
    wait_until_sync(lambda: value(page, "lost") == [None], 20)
    page.evaluate(LISTEN, "/sse?client_id=wrong")
    wait_until_sync(lambda: page.evaluate("window.source.readyState") == 2, 20)
    wait_until_sync(lambda: any("the request was rejected" in error for error in [*errors, page.evaluate("''")]), 20)


def test_fetch_event_source_reconnects_after_a_drain(page: Page, site: Site, bundle: Path) -> None:
    page.add_script_tag(path=bundle)
    page.evaluate(FETCH)
    pushed = push_over_reconnects(page, site)
    wait_until_sync(lambda: value(page, "seen") == pushed, 20)


def test_fetch_event_source_stops_without_the_throw(page: Page, site: Site, bundle: Path) -> None:
    code = bundle.read_text()
    throw = 'throw new Error("the stream ended");'
    assert throw in code
    page.add_script_tag(content=code.replace(throw, "window.ended = true;"))
    page.evaluate(FETCH)
    wait_until_sync(lambda: value(page, "ended"), 20)
    assert value(page, "connects") == 1


def test_the_react_hook_renders_each_message_once_and_closes_its_stream(page: Page, site: Site, bundle: Path) -> None:
    def answer(route: Route) -> None:
        route.fulfill(body=json.dumps([{"id": 0, "text": "loaded"}]), content_type="application/json")

    page.route("**/rooms/kitchen", answer)  # the application's own route
    page.add_script_tag(path=bundle)
    page.evaluate("window.guide.show('kitchen')")
    wait_until_sync(lambda: page.locator("li").all_inner_texts() == ["loaded"], 20)
    push = {"to": "room:kitchen", "event": "chat-message"}
    wait_until_sync(lambda: site.push(to="room:kitchen", event="other", data=0)["recipients"] == 1, 20)
    for number in (1, 2, 3):
        site.push(**push, data={"id": number, "text": f"no. {number}"})
    wait_until_sync(lambda: page.locator("li").all_inner_texts() == ["loaded", "no. 1", "no. 2", "no. 3"], 20)
    page.evaluate("window.guide.show('')")
    wait_until_sync(lambda: site.push(to="room:kitchen", event="other", data=0)["recipients"] == 0, 20)
