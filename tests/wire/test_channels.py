import pytest
from hypothesis import given, strategies as st

from tailrace.wire import ALL, ChannelError, bucket, check_channel, client_channel


@pytest.mark.parametrize("name", ["all", "room:1", "a", "x" * 128, "A-Z.a_z~9:"])
def test_a_channel_can_have_this_name(name: str) -> None:
    assert check_channel(name) == name


@pytest.mark.parametrize("name", ["", "x" * 129, "a b", "$system", "a\n", "é", "a/b", "a,b", "\0"])
def test_no_channel_can_have_this_name(name: str) -> None:
    with pytest.raises(ChannelError, match="bad channel name"):
        check_channel(name)


def test_a_client_has_a_channel_of_its_own() -> None:
    assert client_channel("x") == "client:x"
    assert check_channel(ALL) == "all"


@given(st.text("abc:0123", min_size=1, max_size=20), st.integers(1, 8))
def test_a_channel_is_always_in_the_same_bucket(name: str, buckets: int) -> None:
    assert 0 <= bucket(name, buckets) < buckets
    assert bucket(name, buckets) == bucket(name, buckets)


def test_the_buckets_are_those_that_other_processes_use() -> None:
    assert [bucket(name, 8) for name in ("all", "room:1", "room:2")] == [5, 0, 2]
