"""What the report makes of figures: ratios, goals, and what stands in their way."""

import asyncio

import pytest

from tests.benchmarks._figures import Figure, Figures, Missing, Report, rows
from tests.benchmarks._goals import GOALS, Goal, goals
from tests.benchmarks._obstacles import OBSTACLES


def _figure(side: str, *values: float) -> Figure:
    return Figure("a bench", "us", "", side, values)


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    assert _figure("ours", 10, 40, 30).over(_figure("base", 10, 20, 10)) == 2


def test_with_other_rounds_it_is_that_of_the_medians() -> None:
    assert _figure("ours", 10, 40, 30).over(_figure("base", 10, 20)) == 2


def test_a_side_has_no_ratio_to_one_that_was_not_measured() -> None:
    assert [row[-1] for row in rows([_figure("ours", 1)], "base")] == [""]


@pytest.mark.parametrize(("ours", "says"), [((9, 10, 10), "1.00 | yes"), ((9, 12, 11), "1.20 | **no**")])
def test_a_goal_looks_at_its_rounds(ours: tuple[float, ...], says: str) -> None:
    goal = Goal("less", 1.1, None, ("a bench", "us", ""), "ours", base=("base", ""))
    report = Report({}, [_figure("ours", *ours), _figure("base", 9, 10, 9)])
    assert says in goal.row(goal.value(report))


def test_what_was_not_measured_is_neither_met_nor_excused() -> None:
    text = goals(Report({}, []))
    assert text.count("not measured") == len(GOALS)
    assert "in the way" not in text


@pytest.mark.parametrize("goal", [goal for goal in GOALS if goal.blocked], ids=lambda goal: goal.says)
def test_an_obstacle_is_shown_while_its_goal_is_not_met(goal: Goal) -> None:
    bound = goal.most if goal.most is not None else goal.least
    assert bound is not None
    base = [] if goal.base is None else [Figure(goal.figure[0], goal.figure[1], goal.base[1], goal.base[0], (1.0,))]
    worse = bound * (2 if goal.most is not None else 0.5)
    for value, shown in ((bound, False), (worse, True)):
        report = Report({}, [Figure(*goal.figure, goal.side, (value,)), *base])
        assert (OBSTACLES[goal.blocked] in goals(report)) == shown


def test_every_obstacle_is_some_goals() -> None:
    assert {goal.blocked for goal in GOALS if goal.blocked} == set(OBSTACLES)


def test_a_measure_that_fails_is_tried_again_and_then_told() -> None:
    figures, tries = Figures(), list[int]()

    async def fail() -> None:
        tries.append(1)
        raise LookupError("no such thing")

    asyncio.run(figures.attempt("a measure", "a side", fail, tries=2))
    assert len(tries) == 2
    assert figures.troubles == ["a measure, a side: no such thing"]


def test_a_measure_that_hangs_is_ended() -> None:
    figures = Figures()
    asyncio.run(figures.attempt("a measure", "a side", asyncio.Event().wait, longest_s=0.01))
    assert figures.troubles == ["a measure, a side: TimeoutError"]


def test_a_side_that_is_not_installed_is_said_once() -> None:
    figures = Figures()

    async def miss() -> None:
        raise Missing("a package")

    asyncio.run(figures.attempt("a measure", "a side", miss, tries=2))
    assert (figures.missing, figures.troubles) == ({"a side": "a package"}, [])
    assert not figures.has("a side")
