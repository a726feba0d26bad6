import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tailrace.wire import (
    RESERVED_EVENTS,
    RUN_EVENTS,
    PushError,
    check_event_name,
    encode_json_block,
    encode_text_block,
    is_block,
    with_comment,
    with_id,
    with_retry,
)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a\nb", ["a", "b"]),
        ("a\r\nb", ["a", "b"]),
        ("a\rb", ["a", "b"]),
        ("a\n", ["a", ""]),
        ("\n\r", ["", "", ""]),
        ("\r\n\r\n", ["", "", ""]),
        (" a", [" a"]),
        ("\u2028\u0085\v\f\x1c", ["\u2028\u0085\v\f\x1c"]),
        ("\ufeff\0", ["\ufeff\0"]),
    ],
)
def test_text_is_split_where_the_standard_splits_it_and_nowhere_else(text: str, lines: list[str]) -> None:
    expected = "event: e\n" + "".join(f"data: {line}\n" for line in lines) + "\n"
    assert encode_text_block("e", text) == expected.encode()


def test_json_is_one_line() -> None:
    assert encode_json_block("chat-message", b'{"a":1}') == b'event: chat-message\ndata: {"a":1}\n\n'


def test_the_id_is_the_last_line_of_the_block() -> None:
    assert with_id(encode_json_block("e", b"1"), "1abc") == b"event: e\ndata: 1\nid: 1abc\n\n"


def test_retry_and_comments_stand_in_an_event_s_block() -> None:
    block = encode_json_block("e", b"1")
    assert with_retry(block, 3000) == b"retry: 3000\nevent: e\ndata: 1\n\n"
    assert with_comment(block, "ok") == b":ok\nevent: e\ndata: 1\n\n"
    with pytest.raises(ValueError, match="one line"):
        with_comment(block, "a\nb")


@pytest.mark.parametrize("name", ["message", "chat-message", "ü", " spaced ", "x" * 128, "a\u2028b"])
def test_an_event_can_have_this_name(name: str) -> None:
    assert check_event_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "a\rb", "a\0b", "\ud800", *sorted(RESERVED_EVENTS)])
def test_no_event_can_have_this_name(name: str) -> None:
    with pytest.raises(PushError) as caught:
        check_event_name(name)
    assert caught.value.path == "$.event"


def test_the_contracts_list_every_reserved_name() -> None:
    contracts = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text()
    listed = contracts.partition("**Reserved names.**")[2].partition("**Control events**")[0]
    assert set(re.findall("`([a-z-]+)`", listed)) == RESERVED_EVENTS


@given(st.text())
def test_every_rendered_block_is_known_as_whole(text: str) -> None:
    assert is_block(encode_text_block("e", text))


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"event: e\ndata: 1\n",
        b"data: 1\n\n",
        b"event: e\n\n",
        b"event: e\ndata: 1\n\ndata: 2\n\n",
        b"event: e\ndata: a\r\n\n",
        b"id: 1\nevent: e\ndata: 1\n\n",
        b"event: e\n\ndata: 1\n\n",
        b"event: e\ndata: 1\n\n\n",
        b"event: e\ndata: 1\nid: 9\n\n",
        b"event: e\nid: 9\ndata: 1\n\n",
        b"event: e\nid\ndata: 1\n\n",
        b"event: e\ndata: 1\ndata: 2\nid: 9\n\n",
        b"event: e\nretry: 9\ndata: 1\n\n",
        b"event: e\nevent: reset\ndata: 1\n\n",
        b"event: e\n:\ndata: 1\n\n",
        b"event: e\ndata:1\ndata: 2\n\n",
        *[b"event: %b\ndata: 1\n\n" % name.encode() for name in sorted(RESERVED_EVENTS - RUN_EVENTS)],
    ],
)
def test_this_is_no_whole_block(block: bytes) -> None:
    assert not is_block(block)
