"""The checker finds whatever is planted, and nothing else."""

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from tailrace.wire import Place, encode_cursor, id_at
from tests.support.steady import recedes
from tests.system.checker import Event, Gap, Seen, Start, Verdict, forks, judge

FROM_0 = Start({})


def events(*numbers: int, channel: str = "a") -> tuple[Event, ...]:
    return tuple(Event(channel, number) for number in numbers)


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ([*events(0, 2)], Verdict(lost=events(1), silent=events(1))),
        ([*events(0, 1)], Verdict(lost=events(2), silent=events(2))),
        ([*events(0), Gap("a"), *events(2)], Verdict(lost=events(1))),
        ([*events(0, 1), Gap("a")], Verdict(lost=events(2))),
        ([*events(0, 1), Gap("b")], Verdict(lost=events(2), silent=events(2))),
        ([*events(0), Gap("a"), *events(1), Gap("b")], Verdict(lost=events(2), silent=events(2))),
        ([*events(0, 1, 1, 2)], Verdict(doubled=events(1))),
        ([*events(0, 1, 2, 1)], Verdict(doubled=events(1))),
        ([*events(1, 0, 2)], Verdict(reordered=events(0))),
        ([], Verdict(lost=events(0, 1, 2), silent=events(0, 1, 2))),
        ([*events(0), Start({"a": 2}), *events(2)], Verdict(lost=events(1))),
        ([*events(0), Start({"a": 1}), *events(2)], Verdict(lost=events(1), silent=events(1))),
        ([*events(0, 1, 2, 3)], Verdict()),
    ],
)
def test_whatever_is_wrong_is_named(seen: list[Seen], verdict: Verdict) -> None:
    assert judge({"a": range(3)}, [FROM_0, *seen]) == verdict


def test_what_was_appended_but_not_answered_is_no_fault() -> None:
    assert judge({"a": [0, 2]}, [FROM_0, *events(0, 1, 2, 3)]).clean


def test_before_it_began_a_stream_is_owed_nothing_and_may_get_more() -> None:
    assert judge({"a": range(5)}, [Start({"a": 3}), *events(3, 4)]).clean
    assert judge({"a": range(5)}, [Start({"a": 3}), *events(1, 2, 3, 4)]).clean
    assert judge({"a": range(5)}, [Start({"a": 3}), *events(1, 3, 4)]).silent == events(2)
    assert judge({"a": range(5)}, [Start({"a": 5})]).clean
    assert judge({"a": range(5)}, []).clean


def test_after_a_reset_events_may_come_again() -> None:
    assert judge({"a": range(4)}, [FROM_0, *events(0, 1, 2), Start({"a": 3}), *events(2, 3)]).clean


Channels = dict[str, int]
channels = st.dictionaries(st.sampled_from("abc"), st.integers(2, 20), min_size=1)


def whole(counts: Channels, mixed: Sequence[float]) -> list[Seen]:
    """Give all events of all channels, each channel's in order, mixed by chance."""
    places = iter(mixed)
    queues = {channel: list(events(*range(count), channel=channel)) for channel, count in counts.items()}
    found: list[Seen] = [FROM_0]
    while queues:
        channel = sorted(queues)[int(next(places, 0.0) * len(queues))]
        found.append(queues[channel].pop(0))
        queues = {name: queue for name, queue in queues.items() if queue}
    return found


mixes = st.lists(st.floats(0, 1, exclude_max=True), max_size=60)


def accepted(counts: Channels) -> dict[str, range]:
    return {channel: range(count) for channel, count in counts.items()}


@given(channels, mixes)
def test_a_client_that_saw_all_once_and_in_order_is_clean(counts: Channels, mixed: list[float]) -> None:
    assert judge(accepted(counts), whole(counts, mixed)).clean


@given(channels, mixes, st.data())
def test_a_planted_loss_is_found_and_silent_unless_it_is_told(counts: Channels, mixed: list[float], data: st.DataObject) -> None:
    seen = whole(counts, mixed)
    place = data.draw(st.integers(1, len(seen) - 1))
    lost = seen[place]
    assert isinstance(lost, Event)
    assert judge(accepted(counts), seen[:place] + seen[place + 1 :]) == Verdict(lost=(lost,), silent=(lost,))
    told = [*seen[:place], Gap(lost.channel), *seen[place + 1 :]]
    assert judge(accepted(counts), told) == Verdict(lost=(lost,))


@given(channels, mixes, st.data())
def test_a_planted_double_is_found(counts: Channels, mixed: list[float], data: st.DataObject) -> None:
    seen = whole(counts, mixed)
    first = data.draw(st.integers(1, len(seen) - 1))
    again = data.draw(st.integers(first + 1, len(seen)))
    assert judge(accepted(counts), [*seen[:again], seen[first], *seen[again:]]) == Verdict(doubled=(seen[first],))  # type: ignore[arg-type]


@given(channels, mixes, st.data())
def test_a_planted_disorder_is_found_and_is_a_fork(counts: Channels, mixed: list[float], data: st.DataObject) -> None:
    seen = whole(counts, mixed)
    channel = data.draw(st.sampled_from(sorted(counts)))
    places = [place for place, item in enumerate(seen) if isinstance(item, Event) and item.channel == channel]
    one, other = sorted(data.draw(st.lists(st.sampled_from(places), min_size=2, max_size=2, unique=True)))
    swapped = list(seen)
    swapped[one], swapped[other] = seen[other], seen[one]
    verdict = judge(accepted(counts), swapped)
    assert verdict.reordered
    assert (verdict.lost, verdict.doubled, verdict.silent) == ((), (), ())
    assert forks({"x": seen, "y": swapped, "z": seen}) == (("x", "y"), ("y", "z"))


@given(channels, mixes, mixes, st.data())
def test_parts_of_one_order_are_no_fork(counts: Channels, one: list[float], other: list[float], data: st.DataObject) -> None:
    """Channels may be mixed in any way, and nobody need have seen all."""
    part = [item for item in whole(counts, other) if data.draw(st.booleans())]
    assert forks({"x": whole(counts, one), "y": part}) == ()


def test_three_that_agree_in_pairs_can_still_differ() -> None:
    assert forks({"w": events(0, 3), "x": events(0, 1), "y": events(1, 2), "z": events(2, 0)}) == (("x", "y"), ("y", "z"))


def test_ids_that_go_back_in_any_shard_are_found() -> None:
    def cursor(*places: tuple[str, int]) -> str:
        return encode_cursor(tuple([Place(label, id_at(1000, number)) for label, number in places]))

    first = cursor(("aaaaa", 5), ("bbbbb", 5))
    assert not recedes(first, cursor(("aaaaa", 5), ("bbbbb", 6)))
    assert recedes(first, cursor(("aaaaa", 9), ("bbbbb", 4)))
    assert not recedes(first, cursor(("aaaaa", 5), ("ccccc", 1)))  # of another generation: nothing can be said
