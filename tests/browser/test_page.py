"""The demo page itself: its stream, whatever becomes of edges, its languages and sizes, and ingest's token."""

import os
import re
import signal
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.house import DESK, PHONE, House, house as open_house, seat


def test_nothing_is_missed_while_away(browser: Browser, house: House, url: str) -> None:
    with seat(browser, url) as ada:
        ada.page.get_by_role("button", name="Disconnect", exact=True).click()
        ada.until_state("idle")
        for number in range(100, 125):
            house.chat(number)
        assert "no. 100" not in ada.said()
        ada.page.get_by_role("button", name="Connect", exact=True).click()
        expect(ada.page.locator("#messages .said").last).to_have_text("no. 124")
        ada.page.get_by_role("button", name="Reconnect", exact=True).click()
        ada.until_state("open")
        house.chat(125)
        expect(ada.page.locator("#messages .said").last).to_have_text("no. 125")
        came = [text for text in ada.said() if re.fullmatch(r"no\. 1[012]\d", text)]
        assert came == [f"no. {number}" for number in range(100, 126)]
        assert (
            ada.page.locator("#log li[data-type=chat-message]", has_text=re.compile(r"no\. 1[012]\d")).count() == 26
        )  # once each, by the log too


@pytest.mark.timeout(90)
def test_an_edge_is_killed_and_the_page_goes_on_at_the_other(browser: Browser, house: House, url: str) -> None:
    with seat(browser, url, expected=("net::ERR_",)) as ada:
        expect(ada.page.locator("#edge")).to_have_text(urlsplit(house.edges[0].url).netloc)
        house.edges[0].kill()
        for number in range(200, 220):
            house.chat(number)
        ada.until_state("open")
        expect(ada.page.locator("#edge")).to_have_text(urlsplit(house.edges[1].url).netloc)
        house.chat(220)
        expect(ada.page.locator("#messages .said").last).to_have_text("no. 220")
        assert [text for text in ada.said() if text.startswith("no. 2")] == [f"no. {number}" for number in range(200, 221)]
        assert (ada.logged("reconnect"), ada.logged("move"), ada.logged("gap"), ada.logged("reset")) == (1, 1, 0, 0)
        assert ada.logged("error") >= 2
        expect(ada.page.locator("#reconnects")).to_have_text("1")
        house.edges[0].start()
        drained = house.edges[1].terminate()
        expect(ada.page.locator("#edge")).to_have_text(urlsplit(house.edges[0].url).netloc, timeout=15_000)
        ada.until_state("open")
        house.edges[1].start()
        assert (drained, ada.logged("drain")) == (0, 1)


@pytest.mark.timeout(90)
def test_reset_and_gap_are_shown_when_they_happen(browser: Browser) -> None:
    """In a young system an edge's memory has all that ever was; so the page offers to push more than it holds."""
    with open_house() as young, seat(browser, young.console.url) as ada:
        notices = ada.page.locator("#notices li")
        expect(notices).to_have_count(0)
        ada.page.get_by_role("button", name="Reconnect with a broken cursor").click()
        expect(notices).to_have_count(1)
        expect(notices.first).to_contain_text("starts at the live end")
        ada.until_state("open")
        ada.say("gone on")
        expect(ada.page.locator("#messages .said").last).to_have_text("gone on")
        before = ada.said()
        ada.page.get_by_role("button", name="Reconnect as if away for three days").click()
        expect(ada.page.locator("#notices li[data-type=complete]")).to_contain_text("No gap")
        ada.page.get_by_role("button", name="Push 20,000 events").click()
        expect(ada.page.locator("#notices li[data-type=gap]", has_text="“room:lobby”")).to_have_count(1, timeout=30_000)
        ada.until_state("open")
        ada.say("and on")
        expect(ada.page.locator("#messages .said").last).to_have_text("and on")
        assert ada.said() == [*before, "and on"]  # what was sent again is here once


def test_the_language_is_the_browsers_or_ones_own_choice(browser: Browser, url: str) -> None:
    with seat(browser, url, locale="zh-CN") as lin:
        expect(lin.page.locator("#state-word")).to_have_text("已连接")
        assert lin.page.evaluate("document.documentElement.lang") == "zh-Hans"
        shown = lin.page.locator("body").inner_text()
        assert not re.search(r"Reconnect|Comment|Everyone|Nothing|polling", shown)
        lin.page.get_by_label("English").check(force=True)
        expect(lin.page.locator("#state-word")).to_have_text("Connected")
        assert "连接" not in lin.page.locator("#log").inner_text()
        assert lin.page.get_attribute("#words", "placeholder") == "Write to this room"
        lin.page.reload()
        lin.until_state("open")
        expect(lin.page.locator("h1")).to_have_text("Everything here arrives over one connection")


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_a_phone_shows_all_without_scrolling_sideways(browser: Browser, house: House, url: str, locale: str) -> None:
    with seat(browser, url, size=PHONE, locale=locale, expected=("404",)) as ada:
        ada.say("a-word-without-end-" * 20)
        ada.page.fill("#comment-text", "x" * 80)
        ada.page.press("#comment-text", "Enter")
        house.push("all", "message", text="wide" * 200)
        house.outgrow_the_rings()
        for button in ("#make-reset", "#try-ghost", "#make-gap"):
            ada.page.click(button)
            ada.until_state("open")
        expect(ada.page.locator("#receipt")).to_be_visible()
        expect(ada.page.locator("#notices li[data-type=gap]").first).to_be_visible()
        assert ada.sideways() == 0
        for each in ada.page.get_by_role("button").all():
            box = each.bounding_box()
            assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= PHONE[0])


def test_light_and_dark(browser: Browser, url: str) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with seat(browser, url, color_scheme="dark") as ada:
        dark = ada.page.evaluate(background)
        ada.page.get_by_label("Light").check(force=True)
        light = ada.page.evaluate(background)
        assert dark != light
        ada.page.reload()
        expect(ada.page.locator("body")).to_have_css("background-color", light)


def test_all_can_be_done_by_keyboard(browser: Browser, url: str) -> None:
    with seat(browser, url) as ada:
        reached: list[str] = []
        for _ in range(60):
            ada.page.keyboard.press("Tab")
            reached.append(
                ada.page.evaluate("document.activeElement.id || document.activeElement.name || document.activeElement.textContent")
            )
        wanted = ["language", "theme", "disconnect", "reconnect", "like", "comment-text", "colour", "name", "messages", "words"]
        wanted += ["target", "push-to", "push-data", "make-reset", "make-gap", "poll-every", "clear", "log"]
        assert [each for each in wanted if each not in reached] == []
        ada.page.focus("#disconnect")
        ada.page.keyboard.press("Enter")
        ada.until_state("idle")
        assert ada.page.evaluate("document.activeElement.id") == "connect"  # the focus isn't lost with the button
        ada.page.keyboard.press("Space")
        ada.until_state("open")


def test_an_ingest_that_wants_a_token_is_given_it(browser: Browser) -> None:
    """The page's files hold none: it asks once, tells when it is wrong by asking again, and keeps it for the tab."""
    with open_house(token="open-sesame") as guarded, seat(browser, guarded.console.url, expected=("401",)) as ada:
        ada.say("let me in")
        ada.page.get_by_role("button", name="Don't push").click()
        expect(ada.page.locator("#chat-answer")).to_have_text("Not sent: a bearer token is needed")
        ada.say("let me in")
        for given in ("wrong", "open-sesame"):
            expect(ada.page.locator("#token")).to_be_visible()
            expect(ada.page.locator("#token-answer")).to_have_text("" if given == "wrong" else "Ingest refused this token.")
            ada.page.fill("#token-text", given)
            ada.page.press("#token-text", "Enter")
        expect(ada.page.locator("#messages .said")).to_have_text(["let me in"])
        ada.page.reload()
        ada.until_state("open")
        ada.say("again")
        expect(ada.page.locator("#messages .said")).to_have_text(["let me in", "again"])
        expect(ada.page.locator("#token")).to_be_hidden()


def test_a_system_that_stands_still_is_shown_though_the_stream_is_open(browser: Browser, house: House, url: str) -> None:
    with seat(browser, url) as ada:
        expect(ada.page.locator("#chart-cpu b")).to_have_text(re.compile(r"\d"))
        os.kill(house.worker.pid, signal.SIGSTOP)
        try:
            ada.until_state("quiet")
            expect(ada.page.locator("#state-word")).to_have_text("Connected, no events")
            ada.say("is anybody working?")
            expect(ada.page.locator("#messages .pending .said")).to_have_text("is anybody working?")
        finally:
            os.kill(house.worker.pid, signal.SIGCONT)
        ada.until_state("open")
        expect(ada.page.locator("#messages .said", has_text="is anybody working?")).to_have_count(1)
        expect(ada.page.locator("#messages .pending")).to_have_count(0)


def test_what_cannot_be_sent_does_not_stay_in_the_list(browser: Browser, url: str) -> None:
    with seat(browser, url, expected=("net::ERR_",)) as ada:
        ada.page.route("**/push", lambda route: route.abort())
        ada.say("into the void")
        expect(ada.page.locator("#messages .pending")).to_have_count(1)
        expect(ada.page.locator("#chat-answer")).to_contain_text("Not sent")
        expect(ada.page.locator("#messages .pending")).to_have_count(0)
        expect(ada.page.locator("#words")).to_have_value("into the void")


def test_own_rooms_outlive_a_reload(browser: Browser, url: str) -> None:
    with seat(browser, url) as ada:
        ada.page.fill("#room", "cellar")
        ada.page.press("#room", "Enter")
        ada.say("down here")
        expect(ada.page.locator("#messages .said")).to_have_text(["down here"])
        ada.page.reload()
        ada.until_state("open")
        ada.page.get_by_role("button", name="cellar").click()
        expect(ada.page.locator("#messages .said")).to_have_text(["down here"])


def test_the_openapi_page_can_be_read_on_a_phone(browser: Browser, house: House) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    try:
        page = context.new_page()
        page.goto(f"{house.ingest.url}/schema")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        told = [box["width"] for cell in page.locator("section > table td:nth-child(3)").all() if (box := cell.bounding_box())]
        assert min(told) > 250
    finally:
        context.close()


def test_nothing_is_loaded_from_elsewhere(browser: Browser, house: House, url: str) -> None:
    with seat(browser, url, size=DESK) as ada:
        ada.say("who is there?")
        expect(ada.page.locator("#messages .said").last).to_have_text("who is there?")
        hosts = {urlsplit(each).netloc for each in ada.requests}
        known = [house.console.url, house.ingest.url, *[edge.url for edge in house.edges]]
        assert hosts <= {urlsplit(each).netloc for each in known}
        assert httpx.get(url).headers["content-security-policy"].startswith("default-src 'none'")
