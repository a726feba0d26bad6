"""An application's functions: how they are declared and called, in threads where they block, and how their results are read."""

import asyncio
import contextlib
import contextvars
import enum
import inspect
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
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

from tailrace.wire import PUSH, PUSH_MANY, PushError, PushJob, SetupError, check_push, encode_foreign
from tailrace.worker.calls._argument import Reader, reader_of

F = TypeVar("F", bound=Callable[..., Any])
RetryOn = type[Exception] | Sequence[type[Exception]]
MARK = "__tailrace_function__"
CTX, RECEIPT = "ctx", "receipt"
VARIADIC = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
_encoder = msgspec.json.Encoder(enc_hook=encode_foreign)
TRANSIENT = (ConnectionError, TimeoutError, socket.gaierror, RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError)
"""Errors that a later try may not meet."""


class Threads:
    """Runs blocking functions in threads.

    Python can't end a thread. When a call times out or is aborted, its thread keeps running and occupies one of the worker's
    places until it ends.
    """

    def __init__(self) -> None:
        self.abandoned = 0
        """Threads that are still running though their calls have ended."""
        self.freed = asyncio.Event()
        """Set when an abandoned thread has ended."""

    async def run(self, call: Callable[[], Any]) -> Any:
        """Call in a daemon thread. An executor's threads would delay the end of the process; an interrupted call runs again elsewhere."""
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


class Takes(enum.Enum):
    """Whether a function takes a keyword."""

    NOT = enum.auto()
    ANY = enum.auto()
    """It has `**kwargs`."""
    NAMED = enum.auto()
    """It has a parameter of this name."""


class Function(msgspec.Struct, frozen=True):
    """A function that jobs can call by its name."""

    name: str
    call: Callable[..., Any]
    argument: Any = None
    """Type of its one argument; None if it is scheduled and takes none."""
    wants_ctx: bool = False
    read: Reader | None = None
    """Decodes its argument; None if it takes none."""
    keyword: str = ""
    """Name of its argument if that is keyword-only."""
    ctx_is_keyword: bool = False
    """`ctx` is keyword-only."""
    optional: bool = False
    """Its argument has a default."""
    every_s: int = 0
    """Interval of `@every`; 0 if it isn't scheduled."""
    retry_on: tuple[type[Exception], ...] = ()
    """Exceptions after which it is tried again."""
    plain: bool = False
    """An arq function: takes arq's context and any arguments, and returns a result instead of events."""
    takes_receipt: Takes = Takes.NOT
    """Whether a job's keyword `receipt` may be the function's own."""
    timeout_s: float | None = None
    tries: int | None = None
    keep_result_s: float | None = None
    keep_result_forever: bool | None = None


@overload
def function(call: F) -> F: ...
@overload
def function(*, name: str = ..., retry_on: RetryOn = ...) -> Callable[[F], F]: ...
def function(call: F | None = None, *, name: str = "", retry_on: RetryOn = ()) -> F | Callable[[F], F]:
    """Let jobs call a function, under its own name or the one given.

    The function, sync or async, takes one argument of a type that msgspec or pydantic reads from JSON: a Struct, a model, a
    dataclass. To receive arq's context, it declares `ctx` as the first parameter. It returns or yields an `Event`, several
    (any iterable), or None. A sync function runs in a thread.

    The call is tried again after `arq.Retry`, when that says, and after a network error (ConnectionError, TimeoutError, an unknown
    host, Redis' own) or one of `retry_on`, with pauses that double. Any other exception makes the job a dead letter.

    Raises SetupError: the function doesn't take exactly one argument, its type can't be read from JSON, or `retry_on` holds something
    that is no exception class.
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
    """Declare an arq function: an `async def` whose first parameter is arq's context."""
    return Function(
        name,
        call,
        plain=True,
        takes_receipt=_takes_receipt(call),
        timeout_s=timeout_s,
        tries=tries,
        keep_result_s=keep_result_s,
        keep_result_forever=forever,
    )


def _takes_receipt(call: Callable[..., Any]) -> Takes:
    parameters = inspect.signature(call).parameters
    if RECEIPT in parameters and parameters[RECEIPT].kind not in (*VARIADIC, inspect.Parameter.POSITIONAL_ONLY):
        return Takes.NAMED
    return Takes.ANY if any(each.kind is each.VAR_KEYWORD for each in parameters.values()) else Takes.NOT


def read_argument(function: Function, args: Sequence[bytes | Raw], kwargs: Mapping[str, Any]) -> Any:
    """Read and validate what a job calls a function with; UNSET where it is called without its argument.

    Raises PushError: it isn't one argument, or not a valid one; its path begins at the argument (`$.sender`).
    """
    if kwargs:
        message = f"unknown keyword `{next(iter(kwargs))}`"
        raise PushError(message, "$.k")
    if not args and (function.read is None or function.optional):
        return UNSET
    if function.read is None or len(args) != 1:
        message = f"{function.name!r} takes {'one' if function.read else 'no'} argument"
        raise PushError(message)
    return function.read(bytes(args[0]))


async def call(function: Function, ctx: Mapping[str, Any], argument: Any, threads: Threads) -> list[PushJob]:
    """Call a function and return what it emits. Raises PushError (its result is no event, or a bad one), and what it raises."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    if function.wants_ctx:
        kwargs |= {CTX: ctx} if function.ctx_is_keyword else {}
        args += [] if function.ctx_is_keyword else [ctx]
    if argument is not UNSET:
        kwargs |= {function.keyword: argument} if function.keyword else {}
        args += [] if function.keyword else [argument]
    work = partial(function.call, *args, **kwargs)
    result: Any = work() if _is_async(function.call) else await threads.run(partial(_whole, work))
    if inspect.isawaitable(result):
        result = await result
    return emitted(function.name, [each async for each in result] if isinstance(result, AsyncIterator) else result)


def _is_async(call: Callable[..., Any]) -> bool:
    """Say whether a function is asynchronous, looking through decorators."""
    inner = inspect.unwrap(call)
    return inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner)


def _whole(call: Callable[[], Any]) -> Any:
    """Call a function and, if it is a generator, run it to its end, here and not in the loop."""
    result = call()
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
        data = UNSET if event.data is UNSET else Raw(_encoder.encode(event.data))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        message = f"data that JSON can't hold: {error}"
        raise PushError(message, path + ".data") from None
    return check_push(PushJob(to=event.to, event=event.event, data=data, text=event.text, stamp=event.stamp), path)


def _read(call: Callable[..., Any], name: str, retry_on: RetryOn) -> Function:
    name = name or getattr(call, "__name__", "")
    if name in ("", PUSH, PUSH_MANY):
        raise SetupError(f"a function can't be called {name!r}" if name else f"{call!r} has no name: give `name=`")
    parameters = list(inspect.signature(call).parameters.values())
    ctx = next((each for at, each in enumerate(parameters) if each.name == CTX and (at == 0 or each.kind is each.KEYWORD_ONLY)), None)
    arguments = [each for each in parameters if each is not ctx]
    hints = _hints(call, name)
    if len(arguments) != 1 or arguments[0].kind in VARIADIC or arguments[0].name not in hints:
        raise SetupError(f"function {name!r} has to take one argument with a type (and `ctx` before it, if it wants that)")
    (argument,) = arguments
    try:
        read = reader_of(hints[argument.name])
    except SetupError as error:
        raise SetupError(f"function {name!r}, argument {argument.name!r}: {error}") from error
    return Function(
        name,
        call,
        hints[argument.name],
        ctx is not None,
        read,
        keyword=argument.name if argument.kind is argument.KEYWORD_ONLY else "",
        ctx_is_keyword=ctx is not None and ctx.kind is ctx.KEYWORD_ONLY,
        optional=argument.default is not argument.empty,
        retry_on=_retry_on(retry_on, name),
    )


def _hints(call: Callable[..., Any], name: str) -> dict[str, Any]:
    annotated: Any = call
    while isinstance(annotated, partial):
        annotated = annotated.func
    if not inspect.isroutine(annotated):
        annotated = type(annotated).__call__
    try:
        return get_type_hints(annotated, include_extras=True)
    except Exception as error:  # annotations are the application's code
        raise SetupError(f"function {name!r}: its types can't be read: {type(error).__name__}: {error}") from error


def _retry_on(given: RetryOn, name: str) -> tuple[type[Exception], ...]:
    kinds: tuple[Any, ...] = (given,) if isinstance(given, type) else tuple(given)
    for each in kinds:
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise SetupError(f"function {name!r}: retry_on: {each!r} is no class of exceptions")
    return kinds
