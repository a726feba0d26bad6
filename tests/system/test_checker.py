import pytest

from tests.system.checker import Verdict, judge


def test_a_client_that_saw_all_once_and_in_order_is_clean() -> None:
    assert judge(range(5), [0, 1, 2, 3, 4]).clean


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ([0, 2], Verdict((1,), (), ())),
        ([0, 1, 1, 2], Verdict((), (1,), ())),
        ([0, 1, 2, 1], Verdict((), (1,), ())),
        ([1, 0, 2], Verdict((), (), (0,))),
        ([], Verdict((0, 1, 2), (), ())),
    ],
)
def test_whatever_is_wrong_is_named(seen: list[int], verdict: Verdict) -> None:
    assert judge(range(3), seen) == verdict


def test_what_was_appended_but_not_answered_is_no_fault() -> None:
    assert judge([0], [0, 1]).clean
