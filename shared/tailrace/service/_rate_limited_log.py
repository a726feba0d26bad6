"""Log lines that any client can provoke: at most one of a kind a minute."""

import logging
import time

_EVERY_S = 60.0


class Seldom:
    """Logs the first occurrence at once, and those of the next minute together with the first one after it."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._count, self._next = 0, 0.0

    def count(self) -> int:
        """Count an occurrence; return how many a line has to report now, or 0 if there is to be no line."""
        self._count += 1
        now = time.monotonic()
        if now < self._next:
            return 0
        reported, self._count, self._next = self._count, 0, now + _EVERY_S
        return reported

    def warn(self, message: str) -> None:
        """Log a message, with the number of its kind since the last line."""
        if count := self.count():
            self._logger.warning("%s (%d since the last such line)", message, count)


class Malformed(logging.Filter):
    """Reports the requests that uvicorn can't read, for which it has a warning each, and two with advice for each upgrade."""

    _ABOUT = ("Invalid HTTP request received.", "Unsupported upgrade request.")
    _ADVICE = "No supported WebSocket library detected."

    def __init__(self) -> None:
        super().__init__()
        self._seldom = Seldom(logging.getLogger(__name__))

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is logged; one about a request is rewritten or dropped."""
        if record.msg in self._ABOUT:
            count = self._seldom.count()
            record.msg, record.args = "malformed or unsupported HTTP requests: %d since the last such line", (count,)
            return bool(count)
        return not str(record.msg).startswith(self._ADVICE)
