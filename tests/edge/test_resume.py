"""The resume rule against a plain list of what was appended: random histories of append, trim, loss and reconnects."""

from collections.abc import Mapping, Sequence
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from tailrace.edge.streams._admission import LastEvents, resume_rewind
from tailrace.edge.streams._subscriber import Behind
from tailrace.wire import RewindMark
from tests.edge import model
from tests.edge.model import Client
from tests.edge.world import ACTIONS, play


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 1 << 32), st.lists(st.integers(0, ACTIONS - 1), min_size=5, max_size=80))
def test_no_silent_gap_no_repeat_no_disorder(seed: int, actions: list[int]) -> None:
    play(seed, actions)


def test_the_harm_without_p_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: what histories hold is taken for all there was, and the audit finds silent gaps."""
    monkeypatch.setattr(Client, "say", lambda *_: None)
    assert any(_is_broken(seed) for seed in range(200))


def test_the_harm_if_what_is_left_of_a_rewind_is_taken_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def resume(behind: Behind, mark: RewindMark, ends: Sequence[int], found: Mapping[str, LastEvents]) -> None:
        resume_rewind(behind, mark, ends, {name: each._replace(complete=True) for name, each in found.items()})

    monkeypatch.setattr(model, "resume_rewind", resume)
    assert any(_is_broken(seed) for seed in range(1000))


def _is_broken(seed: int) -> bool:
    dice = Random(seed)
    try:
        play(seed, dice.choices(range(ACTIONS), k=60))
    except AssertionError:
        return True
    return False
