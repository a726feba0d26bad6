"""Merges the logs of several processes: a coloured name before each line, and JSON lines as text."""

import sys
from datetime import datetime

import msgspec

from tailrace.redis import redact
from tailrace.service import LogLine
from tailrace.service._plain import plain, plain_lines

_COLOURS = (36, 32, 35, 33, 34, 96)
_WIDTH = 8
_line = msgspec.json.Decoder(LogLine)


class Merged:
    def __init__(self) -> None:
        self._colours: dict[str, int] = {}
        self._coloured = sys.stdout.isatty()

    def line(self, name: str, text: str) -> None:
        """Print a line of a process."""
        for part in readable(text).splitlines() or [""]:
            print(f"{self._label(name)} {part}", flush=True)

    def _label(self, name: str) -> str:
        label = f"{name:<{_WIDTH}} |"
        if not self._coloured:
            return label
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        return f"\033[{colour}m{label}\033[0m"


def readable(text: str) -> str:
    """Format a line of a service's JSON log as text; other lines are only escaped."""
    try:
        line = _line.decode(text)
        time = datetime.fromisoformat(line.time).astimezone()
    except (msgspec.DecodeError, ValueError):
        return plain(redact(text).expandtabs(4))
    error = f"\n{plain_lines(line.error)}" if line.error else ""
    return f"{time:%H:%M:%S} {plain(line.level):<7} {plain(line.logger)}: {plain(line.message)}{error}"
