"""What shards remember is kept as long as one of its jobs is open, and forgotten once."""

from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tailrace.events import Appended
from tailrace.worker.pushes._memory import Memory

TICKETS = [f"1.{number}" for number in range(1, 9)]
SHARDS = 2


class Remembering(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory(SHARDS)
        self.open = set(TICKETS)
        self.fields: dict[tuple[int, str], set[str]] = {}
        self.forgotten: list[tuple[int, str]] = []

    @rule(shard=st.integers(0, SHARDS - 1), tickets=st.sets(st.sampled_from(TICKETS)))
    def commit(self, shard: int, tickets: set[str]) -> None:
        field = f"o:1:{len(self.fields)}"
        self.fields[shard, field] = tickets & self.open
        self.memory.remember(shard, field, tickets & self.open)

    @rule(ticket=st.sampled_from(TICKETS))
    def end(self, ticket: str) -> None:
        self.open.discard(ticket)
        self.memory.end([ticket])

    @rule(shard=st.integers(0, SHARDS - 1))
    def forget(self, shard: int) -> None:
        self.forgotten += [(shard, field) for field in self.memory.forgettable(shard)]

    @invariant()
    def nothing_too_early_and_nothing_twice(self) -> None:
        assert all(not self.fields[each] & self.open for each in self.forgotten)
        assert len(set(self.forgotten)) == len(self.forgotten)

    def teardown(self) -> None:
        self.memory.end(TICKETS)
        for shard in range(SHARDS):
            self.forget(shard)
        assert set(self.forgotten) == set(self.fields)


TestRemembering = Remembering.TestCase
TestRemembering.settings = settings(max_examples=50, stateful_step_count=30)


names = st.tuples(st.sampled_from(TICKETS), st.integers(0, 5))


@given(st.lists(names, unique=True), st.sets(st.sampled_from(TICKETS)))
def test_what_is_inherited_is_known_as_long_as_its_job_is_open(held: list[tuple[str, int]], left: set[str]) -> None:
    memory = Memory(1)
    outcomes = {f"o:1:{index}": [Appended(f"{ticket}:{push}", index, duplicate=False)] for index, (ticket, push) in enumerate(held)}
    memory.inherit(0, outcomes, left)
    open_ = [(ticket, push) for ticket, push in held if ticket in left]
    assert set(memory.known) == {f"{ticket}:{push}" for ticket, push in open_}
    assert {(ticket, push) for ticket, pushes in memory.begun.items() for push in pushes} == set(open_)
    assert memory.last[0] == max([(int(ticket[2:]), push) for ticket, push in open_], default=(0, 0))
    assert len(memory.forgettable(0)) == len(held) - len(open_)
    memory.end(left)
    assert (memory.known, memory.begun) == ({}, {})
    assert len(memory.forgettable(0)) == len(open_)
