"""What several subscribers get of one question to Redis, against what each would have got of its own."""

from hypothesis import given, strategies as st

from tailrace.edge.streams._resume import Question, Round
from tailrace.events import ChannelHistory, Wanted
from tests.edge.entries import at, entry

CHANNELS = "abc"
LAST = 12
histories = st.fixed_dictionaries({channel: st.sets(st.integers(1, LAST), max_size=8).map(sorted) for channel in CHANNELS})
askers = st.lists(st.tuples(st.integers(0, LAST), st.sets(st.sampled_from(CHANNELS), min_size=1)), min_size=1, max_size=12)


def answer(held: dict[str, list[int]], wanted: Wanted, most: int) -> ChannelHistory:
    newer = [entry(number, wanted.channel) for number in held[wanted.channel] if at(number) > wanted.after]
    return ChannelHistory(newer[:most], len(newer) >= most, at(LAST))


@given(histories, askers, st.integers(1, 4), st.integers(0, 3))
def test_each_gets_what_it_would_have_got_alone_if_not_at_once(
    held: dict[str, list[int]], asked: list[tuple[int, set[str]]], most: int, room: int
) -> None:
    waiting = [Question(at(number), sorted(channels)) for number, channels in asked]
    while waiting:
        first, was_alone = waiting[0], waiting[0].alone
        together = Round(waiting)
        together.take([answer(held, each, most) if n < together.must + room else None for n, each in enumerate(together.wanted)])
        waiting = [question for question in waiting if not is_right(together, question, held)]
        assert waiting[:1] != [first] or (first.alone and not was_alone)  # nobody waits for ever
        assert len({each[:2] for each in together.wanted}) == len(together.wanted)


def is_right(together: Round, question: Question, held: dict[str, list[int]]) -> bool:
    """Say whether a question was answered; the answer has to be right."""
    found = together.share(question)
    for channel, history in (found or {}).items():
        whole = answer(held, Wanted(channel, question.after, 0), LAST + 1)
        assert history.last == whole.last
        assert list(history.entries) == whole.entries[: len(history.entries)]
        assert history.more or len(history.entries) == len(whole.entries)
        assert history.entries or not history.more
    return found is not None


def test_who_comes_back_together_asks_for_each_channel_once() -> None:
    together = Round([Question(at(5 + number % 3), ["all", "room", f"client:{number}"]) for number in range(200)])
    assert [each for each in together.wanted if each.channel in ("all", "room")] == [
        Wanted("all", at(5), 128),
        Wanted("room", at(5), 128),
    ]
    assert len(together.wanted) == 202


def test_a_history_is_cut_at_a_later_position() -> None:
    history = ChannelHistory([entry(2), entry(4)], more=True, last=at(9))
    assert history.since(at(3)) == ChannelHistory([entry(4)], more=True, last=at(9))
    assert history.since(at(4)) is None
    assert history._replace(more=False).since(at(4)) == ChannelHistory([], more=False, last=at(9))
