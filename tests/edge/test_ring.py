from hypothesis import given, strategies as st

from tailrace.edge.window._ring import ENTRY_BYTES, PAGE_ENTRIES, Ring
from tailrace.edge.window._segment import Page
from tailrace.wire import Entry
from tests.edge.entries import at, entry

PART = 7
channels = st.sampled_from("abc")
sizes = st.integers(1, 300)
limits_ = st.tuples(st.integers(1, 50), st.integers(1, 20_000))
questions = st.tuples(st.integers(0, 200), st.sets(channels), st.integers(1, 30))


@given(st.lists(st.tuples(channels, sizes), max_size=200), limits_, questions)
def test_agrees_with_a_plain_list(made: list[tuple[str, int]], limits: tuple[int, int], question: tuple[int, set[str], int]) -> None:
    entries = [entry(number, channel, size=size) for number, (channel, size) in enumerate(made, 1)]
    ring = Ring(at(0), *limits)
    for start in range(0, len(entries), PART):
        ring.extend(Page.of(entries[start : start + PART]))
    kept = _kept(entries, *limits)
    assert len(ring) == len(kept)
    assert ring.bytes == sum(len(e.block) + ENTRY_BYTES for e in kept)
    assert ring.base == (entries[len(entries) - len(kept) - 1].id if len(kept) < len(entries) else at(0))
    position, asked, count = question
    assert ring.after(at(position), asked, count) == [e for e in kept if e.id > at(position) and e.channel in asked][:count]
    for channel in "abc":
        first = next((e for e in kept if e.id > at(position) and e.channel == channel), None)
        assert ring.first(at(position), channel) == first


def _kept(entries: list[Entry], most: int, most_bytes: int) -> list[Entry]:
    """Keep what fits, and one entry at least."""
    kept: list[Entry] = []
    for start in range(0, len(entries), PART):
        kept += entries[start : start + PART]
        while len(kept) > most or (sum(len(e.block) + ENTRY_BYTES for e in kept) > most_bytes and len(kept) > 1):
            del kept[0]
    return kept


def test_restarts_empty() -> None:
    ring = Ring(at(0), 10, 1000)
    ring.extend(Page.of([entry(1), entry(2)]))
    ring.restart(at(9))
    assert (ring.base, len(ring), ring.bytes, ring.after(0, ["a"], 9)) == (at(9), 0, 0, [])


def test_forgets_what_it_has_dropped() -> None:
    ring = Ring(at(0), 10, 1 << 20)
    for number in range(1, 3 * PAGE_ENTRIES):
        ring.extend(Page.of([entry(number, f"client:{number}")]))
        assert ring.first(at(0), f"client:{number}")
    assert sum([len(page._index) for page in ring._pages]) <= PAGE_ENTRIES + 10
