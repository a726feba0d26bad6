"""How much of each channel is kept for replays."""

import re
import sys
from fnmatch import fnmatchcase
from typing import NamedTuple

from tailrace.wire import SetupError

DEFAULT_HISTORY = "client:*=100/262144/120 *=100/262144/3600"
_RULE = re.compile(r"(?P<pattern>[A-Za-z0-9._~:*-]+)=(?P<entries>\d+)/(?P<bytes>\d+)/(?P<seconds>\d+)")
_CACHED = 100_000


class HistoryRule(NamedTuple):
    """What is kept of the channels that a pattern matches; 0 entries or seconds: nothing."""

    pattern: str
    entries: int
    bytes: int
    seconds: int


_NONE = HistoryRule("", 0, 0, 0)


class _Found(NamedTuple):
    text: str
    largest: int
    """The largest event that a history has room for as many of as it may have entries."""
    rule: HistoryRule


class HistoryPolicy:
    """Finds a channel's rule: the first whose pattern (`*` matches anything) fits."""

    def __init__(self, text: str = DEFAULT_HISTORY) -> None:
        """Read rules of the form `PATTERN=ENTRIES/BYTES/SECONDS`, with spaces between. Raises SetupError."""
        self.rules = tuple([self._rule(part) for part in text.split()])
        self._found: dict[str, _Found] = {}

    @staticmethod
    def _rule(part: str) -> HistoryRule:
        match = _RULE.fullmatch(part)
        if not match:
            message = f"bad history rule {part!r}: PATTERN=ENTRIES/BYTES/SECONDS is needed, such as room:*=100/262144/3600"
            raise SetupError(message)
        return HistoryRule(match["pattern"], int(match["entries"]), int(match["bytes"]), int(match["seconds"]))

    def rule(self, channel: str, size: int) -> str:
        """Write how many entries a channel's history keeps, and for how many seconds, when an event joins it: `100 3600`; '' for none.

        `size` is the event's, in bytes: large ones leave room for fewer.
        """
        text, largest, rule = self._found.get(channel) or self._find(channel)
        return text if size <= largest else f"{max(1, rule.bytes // size)} {rule.seconds}"

    def _find(self, channel: str) -> _Found:
        if len(self._found) >= _CACHED:
            self._found.clear()
        rule = next((rule for rule in self.rules if fnmatchcase(channel, rule.pattern)), _NONE)
        kept = rule.entries and rule.seconds
        found = _Found(f"{rule.entries} {rule.seconds}", rule.bytes // rule.entries, rule) if kept else _Found("", sys.maxsize, rule)
        self._found[channel] = found
        return found
