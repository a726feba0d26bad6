import pytest
from hypothesis import given, strategies as st

from tailrace.ingest._prefer import Preference, read_prefer


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Preference(5)),
        ("respond-async", Preference(0, "respond-async")),
        ("wait=10", Preference(10, "wait=10")),
        ('Wait = "7"', Preference(7, "wait=7")),
        ("respond-async, wait=2", Preference(2, "wait=2")),  # RFC 7240, section 4.3: wait so long, then answer 202
        ("wait=1, wait=9", Preference(1, "wait=1")),  # section 2: the first one counts
        ("wait=3; hard=1", Preference(3, "wait=3")),
        ("wait=100000", Preference(60, "wait=60")),
        ("wait=0", Preference(0, "wait=0")),
        ("wait=soon, handling=strict", Preference(5)),
        ("wait=-1", Preference(5)),
    ],
)
def test_what_is_asked_for(header: str, expected: Preference) -> None:
    assert read_prefer(header, default_s=5, max_s=60) == expected


@given(st.text())
def test_anything_is_read(header: str) -> None:
    assert 0 <= read_prefer(header, default_s=5, max_s=60).wait_s <= 60
