"""An application's own functions: how they are declared, found, called, and what they give back."""

import inspect
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar, get_type_hints, overload

import msgspec
from msgspec import UNSET, Raw, UnsetType
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError as RedisTimeoutError,
)

from tailrace.wire import PUSH, PUSH_MANY, PushError, PushJob, SetupError, check_push, convert_error
from tailrace.worker._thread import Threads

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__tailrace_function__"
CTX, RECEIPT = "ctx", "receipt"
TRANSIENT = (ConnectionError, TimeoutError, socket.gaierror, RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError)
"""What says by itself that it may go well later."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event that a function emits; give `data` or `text`."""

    to: str
    """The channel."""
    data: Any = UNSET
    """Anything that msgspec can write as JSON."""
    event: str = "message"
    """The SSE event type."""
    text: str | UnsetType = UNSET
    """Text that is delivered line by line, instead of `data`."""
    stamp: bool = True
    """Give `data` a `timestamp` if it is an object without one."""


class Function(msgspec.Struct, frozen=True):
    """A function that jobs can call by its name."""

    name: str
    call: Callable[..., Any]
    argument: Any = None
    """Type of its one argument; None where it runs by itself and takes none."""
    wants_ctx: bool = False
    every_s: int = 0
    """Seconds from one run by itself to the next; 0 is never."""
    retry_on: tuple[type[Exception], ...] = ()
    """What it raises when it may succeed later."""
    plain: bool = False
    """One of arq's: takes its context and whatever a job gives, and what it returns is its result and no event."""
    takes_receipt: bool = True
    """A job's keyword `receipt` asks for a receipt, and isn't the function's own."""
    timeout_s: float | None = None
    tries: int | None = None
    keep_result_s: float | None = None
    keep_result_forever: bool | None = None


@overload
def function(call: F) -> F: ...
@overload
def function(*, name: str = ..., retry_on: tuple[type[Exception], ...] = ...) -> Callable[[F], F]: ...
def function(call: F | None = None, *, name: str = "", retry_on: tuple[type[Exception], ...] = ()) -> F | Callable[[F], F]:
    """Let jobs call a function, under its own name or the one given.

    The function, sync or async, takes one msgspec Struct, and before it arq's context if it has a parameter `ctx`. It
    returns or yields an `Event`, several (any iterable), or None. A sync function runs in a thread.

    `arq.Retry` has it tried again when it says. So has, after pauses that double, an error of the network (ConnectionError,
    TimeoutError, a name that isn't found, Redis' own) or one of `retry_on`. Any other exception makes the job a dead letter.

    Raises SetupError: it doesn't take one argument with a type that msgspec can read.
    """

    def mark(each: F) -> F:
        setattr(each, MARK, _read(each, name, retry_on))
        return each

    return mark(call) if call else mark


def plain(  # noqa: PLR0913 - arq's own settings of a function
    name: str,
    call: Callable[..., Any],
    timeout_s: float | None = None,
    tries: int | None = None,
    keep_result_s: float | None = None,
    *,
    forever: bool | None = None,
) -> Function:
    """Take one of arq's functions: an `async def` with arq's context first, and whatever a job gives after it."""
    return Function(
        name,
        call,
        plain=True,
        takes_receipt=RECEIPT not in inspect.signature(call).parameters,
        timeout_s=timeout_s,
        tries=tries,
        keep_result_s=keep_result_s,
        keep_result_forever=forever,
    )


def read_argument(function: Function, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Validate what a job calls a function with.

    Raises PushError: it isn't one argument, or not a valid one; its path begins at the argument (`$.sender`).
    """
    if kwargs:
        message = f"unknown keyword `{next(iter(kwargs))}`"
        raise PushError(message, "$.k")
    if function.every_s and not args:
        return None
    if not isinstance(args, list | tuple) or len(args) != 1:
        message = f"{function.name!r} takes one argument"
        raise PushError(message)
    try:
        return msgspec.convert(args[0], function.argument, str_keys=True)
    except (msgspec.ValidationError, RecursionError) as error:
        raise PushError(*convert_error(error).args) from None


async def call(function: Function, ctx: Mapping[str, Any], argument: Any, threads: Threads) -> list[PushJob]:
    """Call a function and return what it emits. Raises PushError (its result is no event, or a bad one), and what it raises."""
    args = (*([ctx] if function.wants_ctx else []), *([] if function.every_s else [argument]))
    if inspect.isasyncgenfunction(function.call):
        result: Any = [each async for each in function.call(*args)]
    elif inspect.iscoroutinefunction(function.call):
        result = await function.call(*args)
    else:
        result = await threads.run(partial(_whole, function.call, args))
    return emitted(function.name, result)


def _whole(call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call a function and, if it is a generator, run it to its end, here and not in the loop."""
    result = call(*args)
    return list(result) if isinstance(result, Iterator) else result


def emitted(name: str, result: Any) -> list[PushJob]:
    """Read a function's result. Raises PushError."""
    if result is None:
        return []
    if isinstance(result, Event | PushJob):
        return [_push(result, "$")]
    if isinstance(result, str | bytes | Mapping | AsyncIterator) or not isinstance(result, Iterable):
        message = f"{name!r} returned {type(result).__name__}, not an Event, several, or None"
        raise PushError(message)
    return [
        _push(each, f"$[{index}]") if isinstance(each, Event | PushJob) else _no_event(name, each, index)
        for index, each in enumerate(result)
    ]


def _no_event(name: str, result: Any, index: int) -> PushJob:
    message = f"{name!r} returned {type(result).__name__} where an Event is expected"
    raise PushError(message, f"$[{index}]")


def _push(event: Event | PushJob, path: str) -> PushJob:
    if isinstance(event, PushJob):
        return check_push(event, path)
    try:
        data = UNSET if event.data is UNSET else Raw(msgspec.json.encode(event.data))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        message = f"data that JSON can't hold: {error}"
        raise PushError(message, path + ".data") from None
    return check_push(PushJob(to=event.to, event=event.event, data=data, text=event.text, stamp=event.stamp), path)


def _read(call: Callable[..., Any], name: str, retry_on: tuple[type[Exception], ...]) -> Function:
    name = name or call.__name__
    names = list(inspect.signature(call).parameters)
    wants_ctx = names[:1] == [CTX]
    hints = get_type_hints(call, include_extras=True)
    arguments = names[wants_ctx:]
    if name in (PUSH, PUSH_MANY):
        message = f"a function can't be called {name!r}"
    elif len(arguments) != 1 or arguments[0] not in hints:
        message = f"function {name!r} has to take one argument with a type (and `ctx` before it, if it wants that)"
    else:
        return Function(name, call, hints[arguments[0]], wants_ctx, retry_on=retry_on)
    raise SetupError(message)
