import pytest

from tailrace.ingest._gate import BusyError, Gate, Hold


def test_bytes_are_held_as_long_as_they_are_used() -> None:
    gate = Gate(10)
    with Hold(gate) as first:
        first.add(4)
        first.add(2)
        with Hold(gate) as second:
            second.add(4)
            with pytest.raises(BusyError):
                second.add(1)
        assert gate.held == 6
    assert gate.held == 0
