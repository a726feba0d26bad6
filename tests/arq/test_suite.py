"""arq's own tests pass with tailrace's worker, except those whose difference has a documented reason."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arq.differences import DIFFERENCES, EXPECTED
from tests.arq.suite import SDISTS, AwayError, fetch, run, without_checks_of_logs
from tests.support.redis import RedisServer

FUNCTIONS_PAGE = Path(__file__).parents[2] / "docs" / "functions.md"
QUICK = ("tests/test_main.py", "tests/test_worker.py", "-k", "not worker_signal and not cron")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with RedisServer() as server:
        yield server.url.removeprefix("redis://").partition("/")[0]


def undocumented(outcomes: dict[str, str]) -> list[str]:
    return [test for test, outcome in outcomes.items() if outcome == "failed" and test not in EXPECTED]


def outdated(outcomes: dict[str, str]) -> list[str]:
    return [test for test, outcome in outcomes.items() if outcome == "passed" and test in EXPECTED]


def summary(version: str, outcomes: dict[str, str]) -> str:
    """Say how many tests behave as in arq, and how many differ for which reason."""
    ended, differ = Counter(outcomes.values()), Counter(EXPECTED[test].reason for test in outcomes if test in EXPECTED)
    lines = [f"arq {version}: {ended['passed']} of {len(outcomes)} tests pass as in arq, {ended['skipped']} are skipped"]
    return "\n".join(lines + [f"{count:4d} differ: {reason}" for reason, count in differ.most_common()])


def check(version: str, outcomes: dict[str, str], output: Path) -> None:
    print(summary(version, outcomes))
    assert (undocumented(outcomes), outdated(outcomes)) == ([], []), output.read_text()[-20_000:]


@pytest.mark.timeout(120)
def test_arqs_own_tests_of_its_worker_pass_or_differ_as_documented(address: str, tmp_path: Path) -> None:
    try:
        source = fetch("0.28.0", tmp_path)
    except AwayError:
        pytest.skip("the package registry, which has arq's tests, can't be reached")
    check("0.28.0", run(source, address, *QUICK), source / "output.txt")


@pytest.mark.prove
@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", SDISTS)
def test_all_of_arqs_own_tests_pass_or_differ_as_documented(version: str, address: str, tmp_path: Path) -> None:
    source = fetch(version, tmp_path)
    outcomes = run(source, address)
    assert len(outcomes) > 160
    check(version, outcomes, source / "output.txt")


def test_every_difference_stands_in_the_documents() -> None:
    rows = FUNCTIONS_PAGE.read_text().partition("### Differences from arq")[2].partition("\n## ")[0]
    assert [each.documented for each in DIFFERENCES if each.documented not in rows] == []
    assert len(EXPECTED) == sum(len(each.tests) for each in DIFFERENCES)


def test_a_difference_that_is_not_documented_fails() -> None:
    known = next(iter(EXPECTED))
    assert undocumented({"tests/test_worker.py::test_job_successful": "failed", known: "failed"}) == [
        "tests/test_worker.py::test_job_successful"
    ]
    assert outdated({known: "passed"}) == [known]


def test_only_assertions_about_logs_are_taken_out() -> None:
    source = "def test(caplog):\n    log = 'x'\n    assert 'y' in log\n    assert 1 == 2"
    assert re.sub(r"\s+", " ", without_checks_of_logs(source)) == "def test(caplog): log = 'x' pass assert 1 == 2"
