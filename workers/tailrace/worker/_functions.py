"""An application's own functions: how they are declared, found, called, and what they give back."""

import asyncio
import importlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, TypeVar, get_type_hints, overload

import msgspec
from msgspec import UNSET, Raw, UnsetType

from tailrace.wire import PUSH, PUSH_MANY, PushError, PushJob, SetupError, check_push, convert_error

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__tailrace_function__"
CTX = "ctx"


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
    argument: Any
    """Type of its one argument; None where it runs by itself and takes none."""
    wants_ctx: bool = False
    every_s: int = 0
    """Seconds from one run by itself to the next; 0 is never."""


@overload
def function(call: F) -> F: ...
@overload
def function(*, name: str) -> Callable[[F], F]: ...
def function(call: F | None = None, *, name: str = "") -> F | Callable[[F], F]:
    """Let jobs call a function, under its own name or the one given.

    The function, sync or async, takes one msgspec Struct, and before it arq's context if it has a parameter `ctx`. It
    returns an `Event`, several (any iterable), or None. A sync function runs in a thread. `arq.Retry` tries again;
    any other exception makes the job a dead letter.

    Raises SetupError: it doesn't take one argument with a type that msgspec can read.
    """

    def mark(each: F) -> F:
        setattr(each, MARK, _read(each, name))
        return each

    return mark(call) if call else mark


def load(modules: Iterable[str]) -> dict[str, Function]:
    """Import modules and return their functions by name.

    Raises SetupError: a module can't be imported or has no functions, or two functions have one name.
    """
    found: dict[str, Function] = {}
    for module in modules:
        try:
            members = vars(importlib.import_module(module)).values()
        except ImportError as error:
            message = f"can't import {module!r}: {error}"
            raise SetupError(message) from error
        own = {id(each): each for member in members if isinstance(each := getattr(member, MARK, None), Function)}
        if not own:
            message = f"{module!r} has no function with @function or @every"
            raise SetupError(message)
        for each in own.values():
            if found.setdefault(each.name, each) is not each:
                message = f"two functions are called {each.name!r}"
                raise SetupError(message)
    return found


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


async def call(function: Function, ctx: Mapping[str, Any], argument: Any) -> list[PushJob]:
    """Call a function and return what it emits. Raises PushError (its result is no event, or a bad one), and what it raises."""
    args = (*([ctx] if function.wants_ctx else []), *([] if function.every_s else [argument]))
    if inspect.iscoroutinefunction(function.call):
        result = await function.call(*args)
    else:
        result = await asyncio.to_thread(function.call, *args)
    return emitted(function.name, result)


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


def _read(call: Callable[..., Any], name: str) -> Function:
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
        return Function(name, call, hints[arguments[0]], wants_ctx)
    raise SetupError(message)
