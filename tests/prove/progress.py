"""One line that says how far a trial is: rewritten on a terminal, repeated now and then elsewhere."""

import sys
import time
from typing import TextIO

from tests.prove.frame import Count, Trial

_WIDTH, _EVERY_S = 24, 15.0


class Bar:
    """Shows a trial's counts on stderr."""

    def __init__(self, trial: Trial, amount: int, out: TextIO = sys.stderr) -> None:
        self._trial, self._amount, self._out = trial, amount, out
        self._began = self._said = time.monotonic()
        self._terminal = out.isatty()

    def show(self, count: Count) -> None:
        """Say it, if it is time to."""
        now = time.monotonic()
        if self._terminal:
            self._out.write(f"\r{self._line(count)}\033[K")
        elif now - self._said >= _EVERY_S:
            self._said = now
            self._out.write(self._line(count) + "\n")
        self._out.flush()

    def finish(self, count: Count) -> None:
        """Leave the last line standing."""
        self._out.write(("\r" if self._terminal else "") + self._line(count) + ("\033[K\n" if self._terminal else "\n"))
        self._out.flush()

    def _line(self, count: Count) -> str:
        done = min(_WIDTH, _WIDTH * count.done // max(self._amount, 1))
        minutes, seconds = divmod(round(time.monotonic() - self._began), 60)
        bar = "#" * done + "-" * (_WIDTH - done)
        progress = f"{count.done:,}/{self._amount:,} {self._trial.unit}"
        return f"{self._trial.name:24} [{bar}] {progress}, {count.faults:,} faults, {minutes}:{seconds:02}"
