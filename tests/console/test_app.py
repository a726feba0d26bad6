"""What the console serves: the page's files, its headers, its configuration, and cursors moved back in time."""

import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tailrace.cli import main
from tailrace.console._app import age_cursor
from tailrace.console._page import load_page
from tailrace.wire import CursorError, Place, decode_cursor, encode_cursor, id_at
from tests.support.service import Service, hurried

EDGES = ("http://127.0.0.1:1", "https://edge.example")
INGEST = "https://push.example/in"


@pytest.fixture(scope="module")
def console() -> Iterator[Service]:
    flags = [word for url in EDGES for word in ("--edge-url", url)]
    with Service("console", *flags, "--ingest-url", INGEST) as service:
        yield service
        assert service.terminate() == 0
        assert "Traceback" not in service.stderr


def test_every_file_is_served_with_its_type(console: Service) -> None:
    text = "; charset=utf-8"
    types = {"html": f"text/html{text}", "js": f"text/javascript{text}", "css": f"text/css{text}", "svg": "image/svg+xml"}
    for name, file in load_page().items():
        answer = httpx.get(f"{console.url}/{name}")
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, file.body, types[name.rpartition(".")[2]])
    assert httpx.get(console.url).content == load_page()["index.html"].body


def test_what_a_browser_has_is_not_sent_again(console: Service) -> None:
    first = httpx.get(f"{console.url}/main.js")
    again = httpx.get(f"{console.url}/main.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, first.headers["cache-control"]) == (304, b"", "no-cache")
    policy = "content-security-policy"
    assert again.headers[policy] == first.headers[policy]  # else a reload blocks the page's own scripts


def test_the_policy_lets_the_page_reach_edges_and_ingest_and_nobody_else(console: Service) -> None:
    policy = dict(part.strip().split(" ", 1) for part in httpx.get(console.url).headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["img-src"] == "'self'"
    assert sorted(policy["connect-src"].split()) == ["'self'", "http://127.0.0.1:1", "https://edge.example", "https://push.example"]


def test_the_page_is_told_the_addresses(console: Service) -> None:
    assert httpx.get(f"{console.url}/config.json").json() == {"edges": list(EDGES), "ingest": INGEST}


def test_what_is_not_there(console: Service) -> None:
    for path in ("nowhere.js", "..%2f_app.py", "page/main.js"):
        answer = httpx.get(f"{console.url}/{path}")
        assert (answer.status_code, answer.json()["status"], answer.json()["path"]) == (404, "error", "$")
    answer = httpx.post(console.url)
    assert (answer.status_code, answer.headers["allow"], answer.json()["status"]) == (405, "GET, HEAD, OPTIONS", "error")


@pytest.mark.parametrize("path", ["", "/main.js", "/config.json", "/healthz"])
def test_what_can_be_read_can_be_asked_after(console: Service, path: str) -> None:
    answer, whole = httpx.head(console.url + path), httpx.get(console.url + path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(whole.content))


def test_health(console: Service) -> None:
    assert httpx.get(f"{console.url}/healthz").json() == {"state": "alive"}


def test_a_cursor_is_moved_back_in_time(console: Service) -> None:
    cursor = encode_cursor((Place("aaaaa", id_at(1_000_000, 7)), Place("bbbbb", id_at(2_000, 0))))
    answer = httpx.get(f"{console.url}/aged-cursor", params={"cursor": cursor, "age_s": 10}).json()
    assert decode_cursor(answer["cursor"], 2) == (Place("aaaaa", id_at(990_000, 0)), Place("bbbbb", 0))


def test_no_cursor_can_not_be_moved(console: Service) -> None:
    answer = httpx.get(f"{console.url}/aged-cursor", params={"cursor": "nonsense", "age_s": 1})
    assert (answer.status_code, answer.json()["status"]) == (400, "error")
    with pytest.raises(CursorError):
        age_cursor("nonsense", 1)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--edge-url", "http://x; script-src *"), "--edge-url"),
        (("--ingest-url", "ftp://x"), "--ingest-url"),
        (("--ingest-url", "//x"), "--ingest-url"),
        (("--edge-url", ":http"), "--edge-url"),
        (("--log-level", "loud"), "--log-level"),
        (("--port", "70000"), "--port"),
    ],
)
def test_addresses_that_are_none_are_refused(capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str) -> None:
    assert main(["console", *flags]) == 2
    assert message in capsys.readouterr().err


def test_behind_one_proxy_all_is_on_the_pages_own_host() -> None:
    with Service("console", "--edge-url", "/", "--ingest-url", "/ingest") as service:
        assert "connect-src 'self';" in httpx.get(service.url).headers["content-security-policy"]
        assert httpx.get(f"{service.url}/config.json").json() == {"edges": ["/"], "ingest": "/ingest"}


def test_another_port_of_the_pages_own_host() -> None:
    found = {"edge.example:8002": "edge.example", "10.0.0.5": "10.0.0.5", "[::1]:8002": "[::1]", "a,b;c": "localhost"}
    with Service("console", "--host", "0.0.0.0", "--edge-url", ":8000", "--ingest-url", ":8001") as service:
        for found_under, host in found.items():
            told = httpx.get(f"{service.url}/config.json", headers={"host": found_under}).json()
            assert told == {"edges": [f"//{host}:8000"], "ingest": f"//{host}:8001"}
            policy = httpx.get(service.url, headers={"host": found_under}).headers["content-security-policy"]
            assert f"connect-src 'self' {host}:8000 {host}:8001;" in policy


def test_both_languages_say_the_same_things() -> None:
    """Every key of one language is in the other, with the same names to fill in, and the page asks for no other."""
    files = {name: file.body.decode() for name, file in load_page().items()}
    english, chinese = files["words.js"].split("  zh: {")
    entry = re.compile(r'^    "?([\w-]+)"?: "(.*)",$', re.MULTILINE)
    languages = [dict(entry.findall(text)) for text in (english, chinese)]
    assert languages[0].keys() == languages[1].keys()
    for key, text in languages[0].items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", languages[1][key])), key
    used = set(re.findall(r'data-t(?:-\w+)?="([\w-]+)"', files["index.html"]))
    assert used <= languages[0].keys()


def test_the_page_names_no_other_host() -> None:
    for name, file in load_page().items():
        hosts = set(re.findall(r"https?://[^\s\"'`<>)]+", file.body.decode())) - {"http://www.w3.org/2000/svg"}
        assert hosts == set(), name


def test_a_head_is_bounded_in_size_and_time() -> None:
    with hurried("console") as console:
        address = urlsplit(console.url)
        for head, status in ((b"x: " + b"y" * (64 << 10), b"431"), (b"x: y", b"408")):
            with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + head)
                assert connection.recv(4096).startswith(b"HTTP/1.1 " + status)
