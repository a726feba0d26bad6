"""Entries for the pure parts' tests, made without Redis."""

from tailrace.wire import Entry, id_at

LABEL = "AAAAA"


def entry(number: int, channel: str = "a", *, before: int = 0, log_before: int | None = None, size: int = 1) -> Entry:
    """Make the entry of a millisecond; its block names it."""
    block = b"event: message\ndata: %b%d\n\n" % (b"x" * size, number)
    return Entry(at(number), channel, before, LABEL, at(number - 1) if log_before is None else log_before, block)


def at(number: int) -> int:
    return id_at(number)
