"""Runs what blocks in threads that nobody has to wait for."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any


class Threads:
    """The threads that a worker's calls run in.

    Python can't end a thread. That of a call that took too long or was aborted runs on, and takes up one of the worker's
    places until it ends.
    """

    def __init__(self) -> None:
        self.abandoned = 0
        """Threads that run on though nobody waits for them."""
        self.freed = asyncio.Event()
        """Set when one of these has ended."""

    async def run(self, call: Callable[[], Any]) -> Any:
        """Call in a thread that the process's end doesn't wait for, as it would for an executor's: what is cut off runs again elsewhere."""
        loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        context = contextvars.copy_context()

        def run() -> None:
            result, error = None, None
            try:
                result = context.run(call)
            except BaseException as raised:  # noqa: BLE001 - whatever it is, who waits is told
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._settle, done, result, error)

        threading.Thread(target=run, name="tailrace-call", daemon=True).start()
        try:
            return await done
        finally:
            if done.cancelled():  # with its waiter, and before it was settled
                self.abandoned += 1

    def _settle(self, done: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
        if done.cancelled():
            self.abandoned -= 1
            self.freed.set()
        elif error is None:
            done.set_result(result)
        else:
            done.set_exception(RuntimeError(f"{type(error).__name__}: {error}") if isinstance(error, StopIteration) else error)
