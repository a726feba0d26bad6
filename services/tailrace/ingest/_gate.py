"""Bounds the request bodies that a process holds at once."""

from types import TracebackType
from typing import Self

from tailrace.wire import TailraceError


class BusyError(TailraceError):
    """All clients together send too much at once (HTTP 429)."""


class Gate:
    """Counts the bytes of all bodies held."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0


class Hold:
    """One body's share, released at the end of the `with` block."""

    def __init__(self, gate: Gate) -> None:
        self._gate, self._share = gate, 0

    def add(self, size: int) -> None:
        """Hold `size` more bytes. Raises BusyError."""
        if self._gate.held + size > self._gate.most:
            raise BusyError("too many request bytes at once: nothing was enqueued")
        self._gate.held += size
        self._share += size

    def __enter__(self) -> Self:
        """Start with no bytes held."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Release the share."""
        self._gate.held -= self._share
