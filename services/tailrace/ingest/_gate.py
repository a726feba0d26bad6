"""Bounds what one process takes in at once."""

from types import TracebackType
from typing import Self

from tailrace.wire import TailraceError


class BusyError(TailraceError):
    """The client's, of all clients': too much comes at once (HTTP 429)."""


class Gate:
    """Counts the bytes of all bodies that are held."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0


class Hold:
    """One body's share, held while the `with` lasts."""

    def __init__(self, gate: Gate) -> None:
        self._gate, self._share = gate, 0

    def add(self, size: int) -> None:
        """Hold so many bytes more. Raises BusyError."""
        if self._gate.held + size > self._gate.most:
            raise BusyError("too many request bytes at once: nothing was enqueued")
        self._gate.held += size
        self._share += size

    def __enter__(self) -> Self:
        """Hold nothing yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go."""
        self._gate.held -= self._share
