from hypothesis import given, strategies as st

from tailrace.edge.window._segment import Page
from tailrace.events import RawEntry
from tailrace.wire import Entry, format_id
from tests.edge.entries import at, entry

channels = st.sampled_from(["a", "b", "c"])


def raw(made: Entry) -> RawEntry:
    head = f"{made.channel} {format_id(made.before)} {made.generation} {format_id(made.log_before)}"
    return format_id(made.id).encode(), [b"h", head.encode(), b"b", made.block]


def extended(made: Entry) -> RawEntry:
    """Write an entry as a later version may: with more words in its head, and more fields."""
    entry_id, (name, head, *block) = raw(made)
    return entry_id, [name, head + b" - later", *block, b"x", b"1"]


def bad_block(number: int, channel: str = "a") -> RawEntry:
    return raw(entry(number, channel)._replace(block=b"no block"))


@given(
    st.lists(st.tuples(channels, st.booleans()), max_size=40), st.integers(0, 45), st.sets(channels), st.integers(1, 20), st.integers(0, 10)
)
def test_agrees_with_entries_that_were_all_read_at_once(
    made: list[tuple[str, bool]], position: int, asked: set[str], most: int, dropped: int
) -> None:
    entries = [entry(number, channel, size=number) for number, (channel, _) in enumerate(made, 1)]
    kept = [each if whole else None for each, (_, whole) in zip(entries, made, strict=True)]
    page = Page.read([raw(each) if each else bad_block(number, made[number - 1][0]) for number, each in enumerate(kept, 1)])
    if dropped < len(entries):
        page.after(0, "abc", dropped)  # what has been asked for is indexed
        page.drop(dropped)
        del kept[:dropped], entries[:dropped]
    whole_ones = [each for each in kept if each]
    assert len(page) == len(kept)
    assert (page.first, page.last) == ((whole_ones[0], whole_ones[-1]) if whole_ones else (None, None))
    if entries:
        expected = [each for each in whole_ones if each.channel in asked and each.id > at(position)][:most]
        assert page.after(at(position), sorted(asked), most) == expected
        assert (page.id(0), page.id(-1)) == (entries[0].id, entries[-1].id)


def test_reads_only_what_is_asked_for() -> None:
    unreadable = raw(entry(2, "b"))[0], [b"h", b"b x y z", b"b", b"event: x\ndata: \n\n"]
    page = Page.read([raw(entry(1)), unreadable, raw(entry(3))])
    assert len(page) == 3
    assert page.channels == ["a", "b", "a"]
    assert page.touching({"a"}) == [entry(1), entry(3)]
    assert page.touching({"b"}) == [None]
    assert page.bytes() == 2 * len(entry(1).block) + len(b"event: x\ndata: \n\n")


def test_leaves_out_what_has_another_form() -> None:
    strange = [
        (b"2-0", [b"x", b"y"]),
        (b"3-0", [b"h", b"\xff 0-0 x 0-0", b"b", b"event: x\ndata: \n\n"]),
        (b"4-0", [b"h", b"a", b"b", b"event: x\ndata: \n\n"]),
        (b"5-0", [b"h", b"a 0-0\nx 0-0 x 0-0", b"b", b"event: x\ndata: \n\n"]),
        (b"6-0", [b"h", b"a 0-0 x", b"b", b"event: x\ndata: \n\n"]),
        (b"7-0", [b"h", b"a 0-0 x 0-0"]),
        (b"8-0", []),
    ]
    for each in strange:
        for first in (raw(entry(1)), extended(entry(1))):
            page = Page.read([first, each])
            assert len(page) == 1
            assert page.first == page.last == entry(1)


def test_ignores_what_a_later_version_adds() -> None:
    entries = [entry(number, "ab"[number % 2]) for number in range(1, 7)]
    page = Page.read([(extended if number % 3 else raw)(each) for number, each in enumerate(entries)])
    assert page.channels == [each.channel for each in entries]
    assert page.after(0, "ab", 9) == entries
    assert page.bytes() == Page.of(entries).bytes()


def test_parts_together_are_the_whole() -> None:
    entries = [entry(number, "ab"[number % 2]) for number in range(1, 12)]
    parts = Page.of(entries).split(4)
    assert [len(part) for part in parts] == [4, 4, 3]
    first = parts[0]
    assert first.after(0, ["a"], 9) == [entries[1], entries[3]]
    for part in parts[1:]:
        first.extend(part)
    assert first.after(0, ["a", "b"], 99) == entries
