"""The short tier: each trial briefly, and the page of the long one."""

import re

import pytest

from tests.prove.frame import Plan, Trial, carry_out
from tests.prove.page import PAGE, page
from tests.prove.record import read
from tests.prove.trials import TRIALS


@pytest.mark.anyio
@pytest.mark.timeout(120)
@pytest.mark.parametrize("trial", TRIALS, ids=[trial.name for trial in TRIALS])
async def test_a_trial_passes(trial: Trial) -> None:
    outcome = await carry_out(trial, Plan(trial.few, seed=1))
    print(f"{trial.name}: {outcome.count.done} {trial.unit}, {outcome.count.faults} faults, {outcome.took_s:.1f} s")
    assert trial.passed(outcome.count), outcome.count


def test_the_page_is_what_the_record_says() -> None:
    assert PAGE.read_text() == page(read()), "write it anew: python -m tests.prove.page"


def test_the_page_names_trials_that_there_are() -> None:
    named = set(re.findall(r"--only ([a-z-]+)", PAGE.read_text()))
    assert named
    assert named <= {trial.name for trial in TRIALS}
