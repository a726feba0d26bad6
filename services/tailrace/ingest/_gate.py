"""Bounds what one process takes in at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from tailrace.wire import TailraceError


class BusyError(TailraceError):
    """The client's, of all clients': too much comes at once (HTTP 429)."""


class Gate:
    """Counts bytes of bodies that are held."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold so many bytes. Raises BusyError."""
        if self._held + size > self._most:
            raise BusyError("too many requests at once")
        self._held += size
        try:
            yield
        finally:
            self._held -= size
