"""What commands print of what others wrote."""

import time

import pytest

from tailrace.cli._merge import readable
from tailrace.cli._show import clock, table
from tailrace.cli._tail import read_block
from tailrace.service._plain import plain
from tailrace.wire import encode_json_block, encode_text_block


def test_plain_leaves_nothing_that_a_terminal_obeys() -> None:
    assert plain("grüße 🐟") == "grüße 🐟"
    assert plain("a\x1b[31mb\nc\x00") == "a\\x1b[31mb\\nc\\x00"


def test_table_aligns_columns() -> None:
    assert table(("A", "B"), [("one", "x"), ("three", "")]) == "A      B\none    x\nthree"


def test_clock_adds_the_date_of_another_day() -> None:
    now_ms = time.time() * 1000
    assert len(clock(now_ms)) == len("12:00:00")
    assert len(clock(0)) == len("1970-01-01 00:00:00")


@pytest.mark.parametrize(("text", "data"), [("a", "a"), ("a\r\nb", "a\nb"), ("", ""), ("\n", "\n")])
def test_block_is_read_back(text: str, data: str) -> None:
    assert read_block(encode_text_block("chat", text)) == ("chat", data)


def test_json_block_is_read_back() -> None:
    assert read_block(encode_json_block("message", b'{"a":1}')) == ("message", '{"a":1}')


def test_merged_log_turns_json_into_a_sentence() -> None:
    line = '{"time":"2026-01-31T12:00:00.000+00:00","level":"info","logger":"a","message":"m","error":"Traceback"}'
    assert readable(line).endswith(" info    a: m\nTraceback")
    assert readable("plain text") == "plain text"
    assert readable("redis://:pass@h/0") == "redis://***@h/0"
    assert readable('{"json": "of another kind"}') == '{"json": "of another kind"}'
