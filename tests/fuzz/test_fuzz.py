"""The short tier of the fuzzing: some thousand inputs for each target. `make prove` runs a million of each."""

import pytest

from tests.fuzz import targets
from tests.fuzz.targets import TARGETS, report, run

INPUTS = 20_000


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_a_rule(target: str) -> None:
    for seed in range(INPUTS):
        try:
            run(target, seed)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed has to be told
            pytest.fail(report(target, seed, error))


def test_a_reader_that_checks_less_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "is_block", lambda block: block[:7] == b"event: " and block[-2:] == b"\n\n")
    with pytest.raises(AssertionError):
        _run_many("blocks")


def _run_many(target: str) -> None:
    for seed in range(INPUTS):
        run(target, seed)
