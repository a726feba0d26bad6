import re

import pytest
from hypothesis import given, strategies as st

from tailrace.wire import CursorError, Place, decode_cursor, encode_cursor, format_id, id_at, id_parts, parse_id

labels = st.text("ABCxyz019", min_size=5, max_size=5)
positions = st.builds(id_at, st.integers(0, 2**42 - 1), st.integers(0, 2**64 - 1))
places = st.builds(Place, labels, positions)


@given(st.lists(places, min_size=1, max_size=8))
def test_a_cursor_comes_back_as_it_was(cursor: list[Place]) -> None:
    assert decode_cursor(encode_cursor(tuple(cursor)), len(cursor)) == tuple(cursor)


@given(st.lists(st.builds(Place, labels, st.builds(id_at, st.integers(0, 2**42 - 1), st.integers(0, 2**18 - 1))), min_size=8, max_size=8))
def test_eight_shards_take_128_safe_bytes_at_most(cursor: list[Place]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", encode_cursor(tuple(cursor)))


@given(st.text(max_size=60) | st.from_regex(r"1[A-Za-z0-9_~.]{0,40}", fullmatch=True), st.integers(1, 8))
def test_whatever_else_is_no_cursor_or_a_readable_one(text: str, shards: int) -> None:
    try:
        cursor = decode_cursor(text, shards)
    except CursorError:
        return
    assert len(cursor) == shards


@pytest.mark.parametrize("text", ["", "1", "garbage", "1abcdeAAAAAA", "2abcdeAAAAAAA", "1abcdeAAAAAAA.", "1abcdeAAAAAAA" + "_" * 11])
def test_this_is_no_cursor(text: str) -> None:
    with pytest.raises(CursorError):
        decode_cursor(text, 1)


def test_an_error_shows_the_cursor_as_it_came() -> None:
    with pytest.raises(CursorError, match="malformed cursor: '1abcde'"):
        decode_cursor("1abcde", 1)


def test_a_cursor_of_another_layout_is_refused() -> None:
    with pytest.raises(CursorError, match="no cursor of 2 shard"):
        decode_cursor(encode_cursor((Place("abcde", 1),)), 2)


@given(positions, positions)
def test_ids_compare_as_redis_compares_them(one: int, other: int) -> None:
    assert (one < other) == (id_parts(one) < id_parts(other))
    assert parse_id(format_id(one)) == one
    assert parse_id(format_id(one).encode()) == one


def test_an_id_may_lack_its_sequence_number() -> None:
    assert parse_id("7") == id_at(7)
