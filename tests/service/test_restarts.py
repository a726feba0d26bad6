"""The delays between restarts, and the words for an exit."""

import pytest

from tailrace.service import RestartBackoff, exit_cause


def test_each_restart_waits_longer_up_to_ten_seconds() -> None:
    backoff = RestartBackoff()
    assert [backoff.delay_s(ran_s=1) for _ in range(8)] == [0.1, 0.5, 1, 2, 5, 10, 10, 10]


def test_a_process_that_ran_for_half_a_minute_starts_over_with_the_shortest_delay() -> None:
    backoff = RestartBackoff()
    assert [backoff.delay_s(ran_s) for ran_s in (0, 0, 30, 31, 0)] == [0.1, 0.5, 1, 0.1, 0.5]


@pytest.mark.parametrize(("status", "described"), [(-9, "by SIGKILL"), (3, "with status 3")])
def test_an_exit_is_described_by_its_signal_or_its_status(status: int, described: str) -> None:
    assert exit_cause(status) == described
