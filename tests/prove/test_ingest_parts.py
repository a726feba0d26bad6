"""What the trials of ingestion judge by: planted faults are found, and clean runs pass."""

from collections.abc import AsyncIterator

import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, strategies as st

from tests.prove.frame import Count
from tests.prove.ingest_pair import judge
from tests.prove.steps import Say, steps
from tests.prove.without import PROTECTIONS, without

numbers = st.integers(3, 50).map(lambda count: list(range(count)))


@given(numbers)
def test_what_is_whole_and_in_order_is_clean(expected: list[int]) -> None:
    assert judge(expected, expected) == Count()


@given(numbers, st.data())
def test_planted_faults_are_found(expected: list[int], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(expected) - 2))
    assert judge(expected, expected[:at] + expected[at + 1 :]).lost == 1
    assert judge(expected, [*expected, expected[at]]) == Count(doubled=1)
    swapped = [*expected[:at], expected[at + 1], expected[at], *expected[at + 2 :]]
    assert judge(expected, swapped) == Count(reordered=1)
    assert judge(expected, [*expected, -1]).other == 1


@pytest.mark.anyio
async def test_counts_come_as_they_are_said() -> None:
    async def work(say: Say) -> None:
        say(Count(done=1))
        await checkpoint()
        say(Count(lost=2))

    assert [count async for count in steps(work)] == [Count(done=1), Count(lost=2)]


@pytest.mark.anyio
async def test_what_goes_wrong_in_a_trial_is_raised() -> None:
    async def work(say: Say) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await collected(steps(work))


async def collected(counts: AsyncIterator[Count]) -> list[Count]:
    return [count async for count in counts]


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_protections_can_be_cut_out_and_come_back(protection: str) -> None:
    """They are found in the scripts by their text; a script that is written anew says so here."""
    for _ in range(2):
        with without(protection):
            pass
