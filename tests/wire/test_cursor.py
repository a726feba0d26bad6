import re

import pytest
from hypothesis import given, strategies as st

from tailrace.wire import (
    CursorError,
    Place,
    RewindMark,
    decode_cursor,
    decode_rewind,
    encode_cursor,
    encode_rewind,
    format_id,
    id_at,
    id_parts,
    parse_id,
)

labels = st.text("ABCxyz019", min_size=5, max_size=5)
positions = st.builds(id_at, st.integers(0, 2**42 - 1), st.integers(0, 2**64 - 1))
places = st.builds(Place, labels, positions)


@given(st.lists(places, min_size=1, max_size=8))
def test_a_cursor_comes_back_as_it_was(cursor: list[Place]) -> None:
    assert decode_cursor(encode_cursor(tuple(cursor)), len(cursor)) == tuple(cursor)


@given(st.lists(st.builds(Place, labels, st.builds(id_at, st.integers(0, 2**42 - 1), st.integers(0, 2**18 - 1))), min_size=8, max_size=8))
def test_eight_shards_take_128_safe_bytes_at_most(cursor: list[Place]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", encode_cursor(tuple(cursor)))


@given(st.lists(places, min_size=1, max_size=8), st.data())
def test_a_rewind_s_mark_comes_back_as_it_was_but_for_a_second(cursor: list[Place], data: st.DataObject) -> None:
    shard = data.draw(st.integers(0, len(cursor) - 1))
    end = cursor[shard].position
    end_ms, _ = id_parts(end)
    reached = data.draw(st.none() | st.builds(id_at, st.integers(0, end_ms), st.integers(0, 2**60 - 1)))
    mark = RewindMark(data.draw(st.integers(1, 1000)), data.draw(st.integers(0, end_ms)), shard, reached)
    text = encode_cursor(tuple(cursor)) + encode_rewind(mark, end)
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", text)
    assert decode_cursor(text, len(cursor)) == tuple(cursor)
    found = decode_rewind(text, tuple(cursor))
    assert found
    assert found._replace(since_ms=mark.since_ms) == mark
    assert mark.since_ms - 1000 < found.since_ms <= mark.since_ms


def test_a_rewind_of_eight_shards_takes_128_bytes_at_most() -> None:
    """With at most two events a millisecond in a shard, and an hour of history."""
    now = 1_795_391_731_298
    places = tuple([Place("abcde", id_at(now, 1))] * 8)
    mark = RewindMark(1000, now - 3_600_000, 7, id_at(now - 3_000_000, 1))
    assert len(encode_cursor(places) + encode_rewind(mark, places[7].position)) <= 128


@pytest.mark.parametrize("mark", ["-", "-x", "-BBAA", "-AAAA", "-ABAA-B", "-ABAA-B-", "-ABAA-B-A-A", "--"])
def test_this_is_no_mark(mark: str) -> None:
    places = (Place("abcde", id_at(5)),)
    with pytest.raises(CursorError):
        decode_rewind(encode_cursor(places) + mark, places)


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
