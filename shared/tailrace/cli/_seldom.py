"""Log lines that anybody can provoke, at most one a minute."""

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
