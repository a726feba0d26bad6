"""Decides how a call ends, from the content of its job and from the outcome of its function. Pure: no I/O."""

import random
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from arq.jobs import DeserializationError, serialize_result
from arq.worker import JobExecutionFailed, Retry, RetryJob
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


class Asked(NamedTuple):
    """What a job asks for, as its result repeats it."""

    function: str = "<unknown>"
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    attempt: int = 1
    enqueued_ms: int = 0


class Unknown(NamedTuple):
    """The call is of a function that this worker doesn't have."""

    asked: Asked
    listener: str | None


class Unfit(NamedTuple):
    """The call can't be run."""

    reason: str
    path: str = "$"
    listener: str | None = None
    traceback: str = ""
    asked: Asked = Asked()
    error: Exception | None = None
    """What arq gives as the result; None if the result is written elsewhere."""


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
        """The deduplication key of its events: unique to this job, even if the id is used again."""
        return f"{self.id}@{self.enqueued_ms}" if self.enqueued_ms else self.id

    @property
    def asked(self) -> Asked:
        return Asked(self.function.name, self.args, self.kwargs, self.attempt, self.enqueued_ms)


def read_call(claimed: Claimed, functions: Mapping[str, Function]) -> Call | Unknown | Unfit:
    """Read what a job asks for."""
    asked = Asked(attempt=claimed.tries + 1)
    if claimed.deaths >= MAX_DEATHS:  # before anything is read: that may be what they died of
        reason = f"{MAX_DEATHS} workers died running this call"
        return Unfit(reason, asked=asked, error=JobExecutionFailed(reason))
    if claimed.payload is None:
        return Unfit(LOST, asked=asked, error=JobExecutionFailed("job expired"))
    try:
        job = decode_job(claimed.payload)
        function = functions.get(job.f)
        args, kwargs = _shape(job, typed=function is None or not function.plain)
    except PushError as error:
        return Unfit(error.message, error.path, asked=asked, error=_unreadable())
    if not 0 <= job.et <= _LAST_MS:
        return Unfit("the time when it was enqueued is out of range", "$.et", asked=asked, error=_unreadable())
    attempt = max(claimed.tries + 1, job.t or 0)
    if function is None:
        asked = Asked(job.f, args, kwargs, attempt, int(job.et))
        return Unknown(asked, receipt_listener(job)) if len(job.f) <= _MAX_NAME else missing(asked, receipt_listener(job))
    return Call(name(claimed), function, args, kwargs, _listener(job, function, kwargs), attempt, int(job.et))


def _unreadable() -> Exception:
    return DeserializationError("unable to deserialize job")


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


def missing(asked: Asked, listener: str | None) -> Unfit:
    """Give up a call of a function that no worker has."""
    error = JobExecutionFailed(f"function {asked.function!r} not found")
    return Unfit(f"no worker has a function {asked.function!r}", "$.f", listener, asked=asked, error=error)


def exhausted(call: Call, deaths: int, most: int) -> Unfit | None:
    """Give up a call of an arq function that has used up its tries before it starts.

    Failures count as tries. So do deaths of workers once they alone amount to `max_tries`: a call with `max_tries=1` is started once.
    """
    if not call.function.plain or (call.attempt <= most and deaths < most):
        return None
    why = f"workers that died running it: {deaths}" if deaths >= most > 0 else f"this would be try {call.attempt}"
    return out_of_tries(call, most, why)


def out_of_tries(call: Call, most: int, why: str) -> Unfit:
    """Give up a call of an arq function that may not be started again."""
    reason = f"{call.function.name} is not run again: max_tries is {most}; {why}"
    return Unfit(reason, "$", call.listener, asked=call.asked, error=retries_exceeded(most))


def retries_exceeded(most: int) -> Exception:
    """Make the error that arq gives a call that has used up its tries."""
    return JobExecutionFailed(f"max {most} retries exceeded")


def again(call: Call, error: BaseException, most: int, *, retry: bool) -> Again | None:
    """Return when a failed call is tried again; None if it isn't."""
    if not retry or call.attempt >= most:
        return None
    if isinstance(error, Retry):
        return Again(max(error.defer_score or 0, 0), call.attempt)
    transient: tuple[type[BaseException], ...] = () if call.function.plain else (*TRANSIENT, *call.function.retry_on)
    if isinstance(error, (RetryJob, *transient)):
        return Again(_pause_ms(call.attempt), call.attempt)
    return None


def failed(call: Call, error: BaseException) -> Unfit:
    """Return why a failed call becomes a dead letter."""
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
    """End an aborted call."""
    return Ended(result, result_ms, encode_receipt(JobReceipt(call.id, JobState.CANCELLED)), call.listener or "")


class Span(NamedTuple):
    """When a call ran, in Unix milliseconds, and its queue."""

    started_ms: int
    ended_ms: int
    queue: str


def result_of(job: str, asked: Asked, span: Span, value: Any, *, success: bool) -> bytes:
    """Write a result as arq's clients read it, in JSON. As in arq, one that can't be written becomes a failure that says so."""
    written = serialize_result(
        asked.function,
        tuple(asked.args),
        dict(asked.kwargs),
        asked.attempt,
        asked.enqueued_ms,
        success,
        value,
        span.started_ms,
        span.ended_ms,
        f"{job}:{asked.function}",
        span.queue,
        job,
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
    if not isinstance(value, BaseException):
        return encode_foreign(value)
    try:
        text = str(value).encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001 - it is an application's own
        text = "(an error that can't say what it is)"
    return f"{type(value).__name__}: {text}"


_encoder = msgspec.json.Encoder(enc_hook=_describe)
