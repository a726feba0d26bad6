"""Watches the loop from a thread: reports the function that blocks it, and renews the claims of calls meanwhile."""

import asyncio
import inspect
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import CodeType
from typing import Any, NamedTuple

from tailrace.queue import Claimed
from tailrace.worker._retry import TROUBLES
from tailrace.worker.calls._functions import Function
from tailrace.worker.calls._runner import Running

_LOOK_S = 0.25
_BLOCKED_S = 1.0
_AGAIN = 4
"""Factor by which the time until the next report grows."""
_log = logging.getLogger(__name__)

Keep = Callable[[Sequence[Claimed]], Coroutine[Any, Any, None]]
"""Renews claims over a connection of its own."""


class Place(NamedTuple):
    """What a thread is doing."""

    function: str
    """The application's function; empty if the thread is in none."""
    where: str


class Watch:
    """Watches one loop.

    Only this thread's own steps count as time: a pause of the whole process stops it too, and is no function's fault.
    """

    def __init__(self, running: Collection[Running], keep: Keep, keep_every_s: float) -> None:
        """`running` is read from the thread: it may change at any time."""
        self._running, self._keep, self._keep_every_s = running, keep, keep_every_s

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch the loop of this thread."""
        over = threading.Event()  # each time one of its own: the thread before may not have seen yet that it is over
        words = asyncio.get_running_loop(), threading.get_ident(), over
        threading.Thread(target=self._run, args=words, name="tailrace-watch", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def _run(self, loop: asyncio.AbstractEventLoop, thread: int, over: threading.Event) -> None:
        blocked_s, say_s, keep_s, answered = 0.0, _BLOCKED_S, self._keep_every_s, threading.Event()
        while True:
            if blocked_s == 0:
                answered.clear()
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(answered.set)
            if over.wait(_LOOK_S):
                return
            if answered.is_set():
                blocked_s, say_s, keep_s = 0.0, _BLOCKED_S, self._keep_every_s
                continue
            blocked_s += _LOOK_S
            if blocked_s >= say_s:
                _say(blocked_s, place(thread, [each.work.call.function for each in list(self._running) if each.work]))
                say_s *= _AGAIN
            if blocked_s >= keep_s:
                self._renew()
                keep_s += self._keep_every_s

    def _renew(self) -> None:
        """Keep claims, but for those of calls whose time is up: what blocks for ever mustn't keep them for ever."""
        kept = [each.claimed for each in list(self._running) if each.work is None or not each.work.overdue]
        with suppress(*TROUBLES):
            asyncio.run(self._keep(kept))


def place(thread: int, functions: Collection[Function]) -> Place:
    """Find where a thread is: which of some functions and at which line, or else its innermost frame."""
    names: dict[CodeType | None, str] = {getattr(inspect.unwrap(each.call), "__code__", None): each.name for each in functions}
    innermost = sys._current_frames().get(thread)  # noqa: SLF001 - documented, and the only way to see another thread
    if innermost is None:
        return Place("", "nowhere")
    for frame, line in traceback.walk_stack(innermost):
        if frame.f_code in names:
            return Place(names[frame.f_code], f"{frame.f_code.co_filename}:{line}")
    return Place("", f"{innermost.f_code.co_filename}:{innermost.f_lineno}")


def _say(blocked_s: float, at: Place) -> None:
    who = f"function {at.function!r}" if at.function else "something"
    cure = "use a plain def with @function, which runs in a thread, or asyncio.to_thread"
    message = "%s blocks the loop, for %g s by now, at %s; nothing else in this worker runs; %s"
    _log.error(message, who, blocked_s, at.where, cure, extra={"function": at.function})
