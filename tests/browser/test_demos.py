"""What the demo page shows, done by hand in Chromium, over real edges, ingest and a worker."""

import re

from playwright.sync_api import Browser, expect

from tests.browser.house import House, seat
from tests.support.wait import wait_until_sync


def test_chat_goes_both_ways(browser: Browser, url: str) -> None:
    with seat(browser, url) as ada, seat(browser, url) as lin:
        ada.page.fill("#name", "Ada")
        ada.say("<b>hello</b> & goodbye")
        expect(lin.page.locator("#messages li", has_text="<b>hello</b> & goodbye").locator("b")).to_have_text("Ada")
        lin.page.fill("#name", "林")
        lin.say("你好 👋")
        expect(ada.page.locator("#messages li").last).to_contain_text("你好 👋")
        expect(ada.page.locator("#messages li.mine .said")).to_have_text(["<b>hello</b> & goodbye"])
        assert ada.said() == lin.said()


def test_rooms_are_apart(browser: Browser, url: str) -> None:
    with seat(browser, url) as ada, seat(browser, url) as lin:
        for each in (ada, lin):
            each.page.fill("#room", "attic")
            each.page.press("#room", "Enter")
            expect(each.page.get_by_role("button", name="attic")).to_have_attribute("aria-pressed", "true")
            each.until_state("open")
        lin.page.get_by_role("button", name="Tea house").click()
        ada.say("up here")
        expect(lin.page.locator("[data-room=attic] .badge")).to_have_text("1")
        assert "up here" not in lin.said()
        lin.page.get_by_role("button", name="attic").click()
        expect(lin.page.locator("#messages .said")).to_have_text(["up here"])
        expect(lin.page.locator("[data-room=attic] .badge")).to_be_hidden()


def test_who_comes_later_sees_what_was_said(browser: Browser, house: House, url: str) -> None:
    house.chat(1, "tech")
    with seat(browser, url) as late:
        late.page.get_by_role("button", name="Workshop").click()
        expect(late.page.locator("#messages .said")).to_have_text(["no. 1"])


def test_a_push_to_one_client_reaches_no_other(browser: Browser, url: str) -> None:
    with seat(browser, url) as ada, seat(browser, url) as lin:
        ada.page.get_by_label("This client").check()
        ada.page.fill("#push-data", '{"text": "for my eyes"}')
        ada.page.get_by_role("button", name="Push", exact=True).click()
        expect(ada.page.locator("#receipt-words")).to_have_text("Appended. Recipients at that moment: 1.")
        expect(ada.page.locator("#log li", has_text="for my eyes")).to_have_count(1)
        lin.page.get_by_role("button", name="Push", exact=True).click()  # to everyone, and so behind the other
        expect(lin.page.locator("#log li[data-type=message]", has_text="hello")).to_have_count(1)
        assert lin.page.locator("#log li", has_text="for my eyes").count() == 0


def test_receipts_of_every_kind(browser: Browser, url: str) -> None:
    with seat(browser, url, expected=("404", "422")) as ada:
        words = ada.page.locator("#receipt-words")
        ada.page.get_by_role("button", name="A client that isn't there").click()
        expect(words).to_have_text("No such client: nothing was appended.")
        expect(ada.page.locator("#receipt-status")).to_have_text("404")
        ada.page.get_by_role("button", name="A push that is wrong").click()
        expect(words).to_contain_text("reserved")
        ada.page.get_by_role("button", name="Everyone, while disconnected").click()
        expect(words).to_contain_text("Nobody is there")
        expect(ada.page.locator("#receipt-body")).to_contain_text('"recipients": 0')
        expect(ada.page.locator("#log li[data-type=message]", has_text="is anybody there?")).to_have_count(1)  # for it came back
        ada.page.fill("#push-data", "{")
        ada.page.get_by_role("button", name="Push", exact=True).click()
        expect(words).to_contain_text("isn't JSON")


def test_an_event_type_of_ones_own_is_heard(browser: Browser, url: str) -> None:
    with seat(browser, url) as ada:
        ada.page.fill("#push-event", "bell")
        ada.page.get_by_role("button", name="Push", exact=True).click()
        expect(ada.page.locator("#log li[data-type=bell]")).to_have_count(1)


def test_likes_add_up_for_all(browser: Browser, url: str) -> None:
    with seat(browser, url) as ada, seat(browser, url) as lin:
        for each, clicks in ((ada, 5), (lin, 3), (ada, 1)):
            for _ in range(clicks):
                each.page.click("#like")
        for each in (ada, lin):
            expect(each.page.locator("#likes")).to_have_text("9")
        with seat(browser, url) as late:
            expect(late.page.locator("#likes")).to_have_text("9")


def test_comments_fly_past_everyone_once(browser: Browser, url: str) -> None:
    with seat(browser, url) as ada, seat(browser, url) as lin:
        ada.page.locator("input[value=mint]").check(force=True)
        ada.page.fill("#comment-text", "look, a heron")
        ada.page.press("#comment-text", "Enter")
        bullet = lin.page.locator("#flight .bullet.mint", has_text="look, a heron")
        expect(bullet).to_have_count(1)
        first = bullet.bounding_box()
        assert first is not None
        wait_until_sync(lambda: (box := bullet.bounding_box()) is not None and box["x"] < first["x"] - 20)
        expect(ada.page.locator("#flight .bullet.own")).to_have_count(1)
        with seat(browser, url) as late:
            assert late.page.locator("#flight .bullet").count() == 0  # what is over doesn't fly again


def test_comments_stand_still_for_who_wants_no_motion(browser: Browser, url: str) -> None:
    with seat(browser, url, reduced_motion="reduce") as ada:
        for text in ("one", "two"):
            ada.page.fill("#comment-text", text)
            ada.page.press("#comment-text", "Enter")
        expect(ada.page.locator("#flight .bullet.still")).to_have_count(2)
        assert ada.page.evaluate("document.getAnimations().length") == 0
        tops = [box["y"] for each in ada.page.locator("#flight .bullet").all() if (box := each.bounding_box())]
        assert len(set(tops)) == 2
        ada.page.click("#like")
        assert ada.page.locator(".floating").count() == 0


def test_the_dashboard_moves(browser: Browser, url: str) -> None:
    with seat(browser, url) as ada, seat(browser, url):
        for name in ("cpu", "memory", "events", "clients"):
            expect(ada.page.locator(f"#chart-{name} b")).to_have_text(re.compile(r"\d"))
        expect(ada.page.locator("#chart-clients b")).to_have_text("2")
        line = ada.page.locator("#chart-cpu .line")
        wait_until_sync(lambda: "L" in (line.get_attribute("d") or ""))
        drawn = line.get_attribute("d")
        wait_until_sync(lambda: line.get_attribute("d") != drawn)
        row = ada.page.locator("#log li[data-type=machine]").last  # ticks that follow each other share a row
        expect(row.locator(".count")).to_have_text(re.compile(r"\d+"))


def test_polling_is_reckoned(browser: Browser, url: str) -> None:
    with seat(browser, url) as ada:
        ada.page.select_option("#poll-every", "1")
        wait_until_sync(lambda: int(ada.page.inner_text("#polls")) >= 3, 10)
        assert ada.page.inner_text("#streams") == "1"
        assert "one request" in ada.page.inner_text("#polling-words")
