"""When a supervisor restarts a process that has exited, and how it describes the exit."""

import signal

_DELAYS_S = (0.1, 0.5, 1, 2, 5, 10)
_STABLE_S = 30


class RestartBackoff:
    """The delays between one process's restarts: each is longer than the last, until the process has run for 30 s."""

    def __init__(self) -> None:
        self._exits = 0

    def delay_s(self, ran_s: float) -> float:
        """Return the seconds to wait before the next start of a process that has just exited after `ran_s` seconds."""
        if ran_s > _STABLE_S:
            self._exits = 0
        delay_s = _DELAYS_S[min(self._exits, len(_DELAYS_S) - 1)]
        self._exits += 1
        return delay_s


def exit_cause(status: int) -> str:
    """Describe an exit status; a negative one is the signal that ended the process."""
    return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
