"""What becomes of a call, from what its job holds and from how its function ended."""

import random
import traceback
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from arq.jobs import serialize_result
from arq.worker import Retry, RetryJob
from msgspec import UNSET

from tailrace.queue import MAX_DEATHS, Again, Claimed, printable
from tailrace.queue._claims import Ended
from tailrace.wire import (
    Job,
    JobReceipt,
    JobState,
    PushError,
    convert_error,
    decode_job,
    encode_foreign,
    encode_receipt,
    is_model_class,
    receipt_listener,
)
from tailrace.worker._receipts import LOST, dead
from tailrace.worker.calls._functions import RECEIPT, TRANSIENT, Function, Takes

_MAX_TRACEBACK = 20_000
_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS = 1000, 60_000
_LAST_MS = 253_402_300_799_999  # of the year 9999, after which Python knows no time
_MAX_NAME = 200  # of a function that isn't here; it becomes part of a key
_arguments = msgspec.json.Decoder(list[Any])
_raw_arguments = msgspec.json.Decoder(list[msgspec.Raw])
_keywords = msgspec.json.Decoder(dict[str, Any])


class Unknown(NamedTuple):
    """The call is of a function that this worker doesn't have."""

    function: str
    listener: str | None


class Unfit(NamedTuple):
    """The call can't be run."""

    reason: str
    path: str = "$"
    listener: str | None = None
    traceback: str = ""


class Call(NamedTuple):
    """A call that can be run."""

    id: str
    function: Function
    args: list[Any]
    """Decoded for a function of arq's; for one that declares its argument's type, bytes of JSON."""
    kwargs: dict[str, Any]
    listener: str | None
    attempt: int
    """arq's `job_try`: how many times it has failed, and one."""
    enqueued_ms: int

    @property
    def key(self) -> str:
        """What its events are keyed by: this job, and no other that gets its id later."""
        return f"{self.id}@{self.enqueued_ms}" if self.enqueued_ms else self.id


def read_call(claimed: Claimed, functions: Mapping[str, Function]) -> Call | Unknown | Unfit:
    """Read what a job asks for."""
    if claimed.deaths >= MAX_DEATHS:
        return Unfit(f"{MAX_DEATHS} workers died running this call")
    if claimed.payload is None:
        return Unfit(LOST)
    try:
        job = decode_job(claimed.payload)
        function = functions.get(job.f)
        args, kwargs = _shape(job, typed=function is None or not function.plain)
    except PushError as error:
        return Unfit(error.message, error.path)
    if not 0 <= job.et <= _LAST_MS:
        return Unfit("when it was enqueued is no time", "$.et")
    if function is None:
        return Unknown(job.f, receipt_listener(job)) if len(job.f) <= _MAX_NAME else missing(job.f, receipt_listener(job))
    return Call(name(claimed), function, args, kwargs, _listener(job, function, kwargs), max(claimed.tries + 1, job.t or 0), job.et)


def _listener(job: Job, function: Function, kwargs: dict[str, Any]) -> str | None:
    """Return who asked for the receipt. A producer that asks among the keywords isn't heard by a function with such a parameter."""
    if job.receipt is not UNSET:
        return job.receipt
    if function.takes_receipt is Takes.NAMED:
        return None
    asked = kwargs.get(RECEIPT) if function.takes_receipt is Takes.ANY else kwargs.pop(RECEIPT, None)
    return asked if isinstance(asked, str) else None


def name(claimed: Claimed) -> str:
    """Return a call's id as text, whatever bytes a producer chose."""
    return claimed.id.decode(errors="backslashreplace")


def missing(function: str, asker: str | None) -> Unfit:
    """Give up a call of a function that nobody has."""
    return Unfit(f"no worker has a function {function!r}", "$.f", asker)


def again(call: Call, error: BaseException, most: int, *, retry: bool) -> Again | None:
    """Say whether a call that has failed is tried again, and when."""
    if not retry or call.attempt >= most:
        return None
    if isinstance(error, Retry):
        return Again(max(error.defer_score or 0, 0), call.attempt)
    transient: tuple[type[BaseException], ...] = () if call.function.plain else (*TRANSIENT, *call.function.retry_on)
    if isinstance(error, (RetryJob, *transient)):
        return Again(_pause_ms(call.attempt), call.attempt)
    return None


def failed(call: Call, error: BaseException) -> Unfit:
    """Say why a call isn't tried again."""
    if isinstance(error, PushError):
        return Unfit(error.message, error.path, call.listener)
    kind = str(_describe(error))
    times = f"tried {call.attempt} times" if call.attempt > 1 else "failed"
    trace = "".join(traceback.format_exception(error))[-_MAX_TRACEBACK:]
    return Unfit(f"{call.function.name} {times}: {kind}", "$", call.listener, trace)


def bury(claimed: Claimed, unfit: Unfit, result: bytes = b"", result_ms: int | None = 0) -> Ended:
    """Make a call a dead letter."""
    reason, path = [printable(text).decode(errors="ignore") for text in (unfit.reason, unfit.path)]
    return Ended(result, result_ms, dead(name(claimed), reason, path), unfit.listener or "", reason, path, unfit.traceback)


def aborted(call: Call, result: bytes, result_ms: int | None) -> Ended:
    """End a call that somebody aborted."""
    return Ended(result, result_ms, encode_receipt(JobReceipt(call.id, JobState.CANCELLED)), call.listener or "")


class Span(NamedTuple):
    """When a call ran, in Unix milliseconds, and from which queue it came."""

    started_ms: int
    ended_ms: int
    queue: str


def result_of(call: Call, span: Span, value: Any, *, success: bool) -> bytes:
    """Write a result as arq's clients read it, in JSON."""
    written = serialize_result(
        call.function.name,
        tuple(call.args),
        call.kwargs,
        call.attempt,
        call.enqueued_ms,
        success,
        value,
        span.started_ms,
        span.ended_ms,
        f"{call.id}:{call.function.name}",
        span.queue,
        call.id,
        serializer=_encoder.encode,
    )
    return written or b""


def _shape(job: Job, *, typed: bool) -> tuple[list[Any], dict[str, Any]]:
    path = "$.a"
    try:
        args: list[Any] = (_raw_arguments if typed else _arguments).decode(job.a)
        if typed:
            bytes(job.a).decode()  # Raw lets bytes by that aren't UTF-8, and a result quotes them
        path = "$.k"
        return args, _keywords.decode(job.k)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PushError(*convert_error(error, path).args) from None


def _pause_ms(attempt: int) -> int:
    longest = min(_FIRST_PAUSE_MS * 2.0 ** (attempt - 1), _LONGEST_PAUSE_MS)
    return round(longest * random.uniform(0.5, 1))  # noqa: S311 - spreads retries, keeps no secret


def _describe(value: Any) -> Any:
    if is_model_class(type(value)):
        return encode_foreign(value)
    if not isinstance(value, BaseException):
        return repr(value)
    try:
        text = str(value).encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001 - it is an application's own
        text = "(an error that can't say what it is)"
    return f"{type(value).__name__}: {text}"


_encoder = msgspec.json.Encoder(enc_hook=_describe)
