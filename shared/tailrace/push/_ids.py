"""Job ids that sort by time, also within a millisecond, since a queue orders equal scores by id."""

import secrets

_COUNTER_BITS = 16


class JobIds:
    """Makes ids: 12 hexadecimal digits of Unix milliseconds, 4 that count, 16 that are random."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now_ms: int) -> str:
        """Return an id greater than all before it, even where the clock steps back."""
        self._last = max(now_ms << _COUNTER_BITS, self._last + 1)
        return f"{self._last:016x}{secrets.token_hex(8)}"
