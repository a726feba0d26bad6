from hypothesis import given, strategies as st

from tailrace.push._ids import JobIds


@given(st.lists(st.integers(min_value=0, max_value=1 << 47), min_size=2))
def test_ids_rise_whatever_the_clock_does(clock: list[int]) -> None:
    ids = JobIds()
    made = [ids.next(now_ms) for now_ms in clock]
    assert made == sorted(set(made))


def test_an_id_begins_with_its_time() -> None:
    assert JobIds().next(0x0123456789AB)[:16] == "0123456789ab0000"
    assert len(JobIds().next(1)) == 32


def test_two_producers_never_make_the_same_id() -> None:
    one, other = JobIds(), JobIds()
    assert not {one.next(5) for _ in range(1000)} & {other.next(5) for _ in range(1000)}
