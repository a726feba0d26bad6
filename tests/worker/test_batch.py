"""Batches become commits: everything once, in order, and nothing too long for a script."""

from hypothesis import given, strategies as st

from tailrace.events import NewEvent
from tailrace.wire import PushJob, Receipt, bucket
from tailrace.worker._commits import MAX_BYTES, MAX_EVENTS, commits
from tailrace.worker.pushes._batch import Delivery, event_name, events, number, ticket_of
from tailrace.worker.pushes._classify import nobody

CHANNELS = [f"room:{number}" for number in range(8)]
sizes = st.integers(0, MAX_BYTES // 3) | st.integers(0, 100)


@given(st.lists(sizes, max_size=400))
def test_commits_keep_all_in_order_and_are_short(lengths: list[int]) -> None:
    given_ = [NewEvent(str(index), "a", bytes(length)) for index, length in enumerate(lengths)]
    cut = commits(given_)
    assert [event for some in cut for event in some] == given_
    for some in cut:
        assert 1 <= len(some) <= MAX_EVENTS
        assert len(some) == 1 or sum(len(event.block) for event in some) <= MAX_BYTES


@st.composite
def deliveries(draw: st.DrawFn) -> list[Delivery]:
    made = []
    for position in range(1, draw(st.integers(1, 6))):
        pushes = tuple([PushJob(to=to, text="x") for to in draw(st.lists(st.sampled_from(CHANNELS), max_size=6))])
        out: dict[int, Receipt] = {index: nobody(push) for index, push in enumerate(pushes) if draw(st.booleans())}
        blocks = tuple([b"" if index in out else b"%d" % index for index in range(len(pushes))])
        made.append(Delivery(position, f"3.{position + 9}", "job", pushes, blocks, out, many=True, listener=None))
    return made


@given(deliveries(), st.integers(1, 8), st.data())
def test_each_shard_gets_its_pushes_in_order_but_what_it_has(batch: list[Delivery], shards: int, data: st.DataObject) -> None:
    names = [
        (event_name(each.ticket, index), push.to, bucket(push.to, shards))
        for each in batch
        for index, push in enumerate(each.pushes)
        if index not in each.out
    ]
    known = data.draw(st.sets(st.sampled_from([name for name, *_ in names]))) if names else set()
    split = events(batch, shards, known)
    for shard, some in enumerate(split):
        expected = [(name, to) for name, to, where in names if where == shard and name not in known]
        assert [(event.name, event.channel) for event in some] == expected


def test_names() -> None:
    assert event_name("5.123", 7) == "5.123:7"
    assert ticket_of("5.123:7") == "5.123"
    assert number("5.123") == 123
