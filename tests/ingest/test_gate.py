import pytest

from tailrace.ingest._gate import BusyError, Gate


def test_bytes_are_held_as_long_as_they_are_used() -> None:
    gate = Gate(10)
    with gate.hold(6):
        with pytest.raises(BusyError), gate.hold(5):
            pass
        with gate.hold(4):
            pass
    with gate.hold(10):
        pass
