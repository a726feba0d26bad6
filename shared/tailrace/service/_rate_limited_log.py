"""Log lines that any client can cause: at most one of each kind per minute."""

import logging
import time

_EVERY_S = 60.0


class Seldom:
    """Logs the first occurrence at once, and counts those of the next minute in the first line after it."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._count, self._next = 0, 0.0

    def count(self) -> int:
        """Count an occurrence; return how many to report in a line now, or 0 for no line."""
        self._count += 1
        now = time.monotonic()
        if now < self._next:
            return 0
        reported, self._count, self._next = self._count, 0, now + _EVERY_S
        return reported

    def warn(self, message: str, **fields: object) -> None:
        """Log a message with the number of occurrences since the last line; `fields` are the message's values."""
        if count := self.count():
            self._logger.warning("%s (%d since the last such line)", message, count, extra={**fields, "count": count})


class Malformed(logging.Filter):
    """Counts requests that uvicorn can't parse; uvicorn itself logs a warning for each, and two for each upgrade."""

    _ABOUT = ("Invalid HTTP request received.", "Unsupported upgrade request.")
    _ADVICE = "No supported WebSocket library detected."

    def __init__(self) -> None:
        super().__init__()
        self._seldom = Seldom(logging.getLogger(__name__))

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record; one about a request is rewritten or dropped."""
        if record.msg in self._ABOUT:
            count = self._seldom.count()
            record.msg, record.args = "malformed or unsupported HTTP requests: %d since the last such line", (count,)
            vars(record)["count"] = count
            return bool(count)
        return not str(record.msg).startswith(self._ADVICE)
