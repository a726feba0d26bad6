"""The frame itself: sums, verdicts, record and page."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.prove.frame import Count, Outcome, Plan, Trial, carry_out
from tests.prove.page import bound, page
from tests.prove.progress import Bar
from tests.prove.record import note, read


async def two_steps(plan: Plan) -> AsyncIterator[Count]:
    yield Count(done=plan.amount - 1, figures={"p99 ms": 9.0})
    yield Count(done=1, lost=2, figures={"p99 ms": 3.0})


TRIAL = Trial("example", "a part is killed", "kills", 300, 3, 1, two_steps)
CLEAN = Outcome(Count(done=300), 61.0)


@pytest.mark.anyio
async def test_steps_add_up() -> None:
    sums: list[Count] = []
    outcome = await carry_out(TRIAL, Plan(10, 1), sums.append)
    assert outcome.count == Count(done=10, lost=2, figures={"p99 ms": 3.0})
    assert [count.faults for count in sums] == [0, 2]


def test_a_trial_passes_without_faults_and_a_twin_with_them() -> None:
    clean, faulty, nothing = Count(done=1), Count(done=1, silent=1), Count()
    twin = TRIAL._replace(twin=True)
    assert [TRIAL.passed(count) for count in (clean, faulty, nothing)] == [True, False, False]
    assert [twin.passed(count) for count in (clean, faulty, nothing)] == [False, True, False]


def test_equal_seeds_make_equal_choices() -> None:
    assert Plan(1, 7).dice().random() == Plan(2, 7).dice().random() != Plan(1, 8).dice().random()


def test_the_record_keeps_each_trial_s_newest_run(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    note("other", Plan(1, 1), CLEAN, path)
    note("example", Plan(300, 1), CLEAN, path)
    note("example", Plan(300, 2), CLEAN, path)
    assert {name: result.seed for name, result in read(path).items()} == {"other": 1, "example": 2}


def test_a_row_says_what_was_found_and_what_that_bounds(tmp_path: Path) -> None:
    record = note("example", Plan(300, 1), CLEAN, tmp_path / "record.json")
    assert "| a part is killed | 300 kills | 0 | 0 | 0 | 0 | 0 | - | < 1 % |" in page(record, [TRIAL])
    faulty = note("example", Plan(300, 1), Outcome(Count(done=300, lost=1), 1), tmp_path / "record.json")
    assert "| a part is killed | 300 kills | **1** | 0 | 0 | 0 | 0 | - | none |" in page(faulty, [TRIAL])


def test_twins_and_figures_have_tables_of_their_own(tmp_path: Path) -> None:
    found = Outcome(Count(done=3, silent=4, figures={"p99 ms": 12.34}), 1)
    text = page(note("example", Plan(3, 1), found, tmp_path / "record.json"), [TRIAL._replace(twin=True), TRIAL._replace(name="late")])
    assert "| a part is killed | 3 kills | 0 | 0 | 0 | **4** | 0 | - |\n" in text
    assert "| `example` | p99 ms | 12.3 |" in text
    assert "late" not in text


def test_the_bound_is_the_rule_of_three() -> None:
    assert [bound(count) for count in (100, 400, 100_000)] == ["3 %", "0.75 %", "0.003 %"]


def test_progress_is_one_plain_line_elsewhere_than_on_a_terminal() -> None:
    out = io.StringIO()
    bar = Bar(TRIAL, 300, out)
    bar.show(Count(done=75))
    bar.finish(Count(done=150, lost=1))
    assert out.getvalue() == "example                  [############------------] 150/300 kills, 1 faults, 0:00\n"
