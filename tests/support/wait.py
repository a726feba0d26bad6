"""The one place in the tests that waits by looking again."""

import inspect
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, overload

import anyio

T = TypeVar("T")
_EVERY_S = 0.01


@overload
async def wait_until(predicate: Callable[[], Coroutine[Any, Any, T]], timeout_s: float = ...) -> T: ...
@overload
async def wait_until(predicate: Callable[[], T], timeout_s: float = ...) -> T: ...
async def wait_until(predicate: Callable[[], Any], timeout_s: float = 5) -> Any:
    """Give the predicate's first truthy value.

    Raises:
        TimeoutError: there was none in time; the message shows the last value.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        result = predicate()
        value = await result if inspect.isawaitable(result) else result
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {timeout_s} s; the last value was {value!r}")
        await anyio.sleep(_EVERY_S)


def wait_until_sync(predicate: Callable[[], T | None], timeout_s: float = 5) -> T:
    """Give the predicate's first truthy value, for tests without a loop."""
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {timeout_s} s; the last value was {value!r}")
        time.sleep(_EVERY_S)
    return value
