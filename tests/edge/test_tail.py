from tailrace.edge.window._ring import Ring
from tailrace.edge.window._segment import Page
from tailrace.edge.window._tail import Tail
from tailrace.events import Generations
from tests.edge.entries import LABEL, at, entry


def make_tail(top: int = 3) -> Tail:
    tail = Tail(Ring(0, 10, 10_000))
    tail.begin(Generations(LABEL, at(top)), [entry(number) for number in range(1, top + 1)])
    return tail


def test_begins_at_the_end_of_the_log_with_its_newest_entries() -> None:
    tail = make_tail()
    assert (tail.label, tail.position, tail.seen, tail.ring.base, len(tail.ring)) == (LABEL, at(3), at(3), at(0), 3)


def test_begins_past_a_last_entry_that_is_not_ours() -> None:
    tail = Tail(Ring(0, 10, 10_000))
    tail.begin(Generations(LABEL, at(9)), [entry(1)])
    assert (tail.position, tail.ring.base) == (at(9), at(0))


def test_takes_what_follows() -> None:
    tail = make_tail()
    page = Page.of([entry(4), entry(5)])
    assert tail.continues(page)
    assert not tail.fell_off(page)
    tail.take(page, at(5))
    assert (tail.position, tail.seen) == (at(5), at(5))


def test_doubts_a_link_from_elsewhere_and_another_generation() -> None:
    tail = make_tail()
    assert not tail.continues(Page.of([entry(5)]))
    assert not tail.continues(Page.of([entry(4), entry(5)._replace(generation="other")]))


def test_starts_the_ring_anew_when_it_fell_off_the_log() -> None:
    tail = make_tail()
    page = Page.of([entry(8)])
    assert tail.fell_off(page)
    tail.take(page, at(8))
    assert (tail.position, tail.ring.base, len(tail.ring)) == (at(8), at(7), 1)


def test_entries_that_are_not_ours_move_only_what_was_seen() -> None:
    tail = make_tail()
    tail.take(Page.of([]), at(5))
    assert (tail.position, tail.seen) == (at(3), at(5))
    assert tail.continues(Page.of([entry(6, log_before=at(3))]))  # the script didn't know of it
    assert tail.continues(Page.of([entry(6, log_before=at(5))]))  # the script wrote it


def test_a_new_generation_that_kept_everything() -> None:
    tail = make_tail()
    assert tail.adopt(Generations("BBBBB", at(3), ((LABEL, at(3)),))) == at(3)
    assert (tail.label, tail.position, len(tail.ring)) == ("BBBBB", at(3), 3)


def test_goes_back_to_what_survived() -> None:
    tail = make_tail()
    assert tail.adopt(Generations("BBBBB", at(2), ((LABEL, at(2)),))) == at(2)
    assert (tail.position, tail.seen, tail.ring.base, len(tail.ring)) == (at(2), at(2), at(2), 0)


def test_goes_to_the_end_of_a_log_that_knows_nothing_of_it() -> None:
    tail = make_tail()
    assert tail.adopt(Generations("BBBBB", at(1))) < 0
    assert (tail.position, len(tail.ring)) == (at(1), 0)


def test_lag_is_how_much_older_the_reader_is_than_the_log() -> None:
    tail = make_tail()
    tail.adopt(Generations(LABEL, at(1503)))
    assert tail.lag_s == 1.5
