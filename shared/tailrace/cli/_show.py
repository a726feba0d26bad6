"""Tables and times as commands print them."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from tailrace.service._plain import plain


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Align rows in columns."""
    lines = [list(head), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(["  ".join([cell.ljust(width) for cell, width in zip(line, widths, strict=True)]).rstrip() for line in lines])


def clock(unix_ms: float) -> str:
    """Format a time of day in this machine's zone, with the date unless it is today."""
    time = datetime.fromtimestamp(unix_ms / 1000).astimezone()
    return f"{time:%H:%M:%S}" if time.date() == datetime.now().astimezone().date() else f"{time:%Y-%m-%d %H:%M:%S}"
