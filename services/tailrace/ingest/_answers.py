"""What ingest answers: a status and a body for everything that can become of a request."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from tailrace.push import RETRY_AFTER_S, Batch
from tailrace.redis import refusal
from tailrace.service import Problem
from tailrace.wire import CLIENT_PREFIX, JobError, JobReceipt, JobState, PushError, Receipt, TooLargeError


class Accepted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A push that hasn't ended yet."""

    status: str
    """`accepted`."""
    message: str
    job: str
    url: str
    """Where the job tells of itself."""
    jobs: list[str] | UnsetType = UNSET
    """The job of each push, where an array became several (due at different times, or in different partitions of the queue)."""


class JobAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a job is."""

    job: str
    state: JobState
    receipt: Receipt | list[Receipt] | UnsetType = UNSET
    """What became of it, once it has ended; an array for an array of pushes."""


class Answer(NamedTuple):
    """An HTTP response, as yet of no framework."""

    status: int
    body: Any
    headers: Mapping[str, str] = {}


def job_url(job: str) -> str:
    """Say where a job tells of itself."""
    return f"/jobs/{job}"


def accepted(batch: Batch, *, scheduled: bool) -> Answer:
    """Answer 202: the jobs are in the queue and haven't ended."""
    job = batch.jobs[0].id
    body = Accepted(
        status="accepted",
        message="scheduled" if scheduled else "enqueued",
        job=job,
        url=job_url(job),
        jobs=[batch.jobs[number].id for number, _ in batch.places] if len(batch.jobs) > 1 else UNSET,
    )
    return Answer(202, body, {"Location": job_url(job)})


def ended(end: JobReceipt) -> Answer:
    """Answer from the receipt of one push's job."""
    receipt = end.receipts[0] if end.receipts else Receipt(status="error", message=f"the push is {end.state}")
    match end.state:
        case JobState.APPENDED:
            return Answer(200, receipt)
        case JobState.EXPIRED if receipt.status == "error" and str(receipt.to).startswith(CLIENT_PREFIX):
            return Answer(404, _with_path(receipt, "$.to"))
        case JobState.EXPIRED:
            return Answer(410, _with_path(receipt))
        case JobState.CANCELLED:
            return Answer(409, _with_path(receipt))
        case _:  # dead: a worker found what we didn't, or died of it
            return Answer(500 if receipt.path in (UNSET, "$") else 422, _with_path(receipt))


def ended_many(receipts: Sequence[Receipt]) -> Answer:
    """Answer from the receipts of an array, each of which tells of itself."""
    return Answer(200, receipts)


def job_answer(end: JobReceipt) -> Answer:
    """Answer where a job is."""
    one = len(end.receipts) == 1 and not end.many
    return Answer(200, JobAnswer(job=end.job, state=end.state, receipt=(end.receipts[0] if one else end.receipts) or UNSET))


def cancelled(job: str, state: JobState | None) -> Answer:
    """Answer to the wish to cancel a job that was in this state."""
    match state:
        case None:
            return unknown_job(job)
        case JobState.CANCELLED:
            return Answer(200, JobAnswer(job=job, state=state))
        case JobState.QUEUED:
            return problem(409, "too late: a worker has the job")
        case _:
            return problem(409, f"too late: the job is {state}")


def unknown_job(job: str) -> Answer:
    """Answer 404."""
    return problem(404, f"no job {job[:64]!r} is known (any more)")


def bad_push(error: PushError) -> Answer:
    """Answer a push that can't be valid."""
    match error:
        case JobError():
            status = 400
        case TooLargeError():
            status = 413
        case _:
            status = 422
    return problem(status, error.message, path=error.path)


def coded(coding: str) -> Answer:
    """Answer 415 to a body that is compressed, and say what is taken instead (RFC 9110, 15.5.16)."""
    message = f"the body is {coding[:64]!r}, and only one without Content-Encoding is taken"
    return problem(415, message, headers={"Accept-Encoding": "identity"})


def redis_trouble(error: Exception) -> Answer:
    """Answer 503: what Redis refuses, or that it is away, but not where it is or who uses it."""
    refused = refusal(error)
    return try_again(503, refused.meaning if refused else "Redis is away")


def try_again(status: int, message: str) -> Answer:
    """Answer that it is too much, and when to try again."""
    return problem(status, message, headers={"Retry-After": str(RETRY_AFTER_S)})


def problem(status: int, message: str, *, path: str = "$", headers: Mapping[str, str] | None = None) -> Answer:
    """Answer an error."""
    return Answer(status, Problem(message, path), headers or {})


def _with_path(receipt: Receipt, path: str = "$") -> Receipt:
    return receipt if receipt.path is not UNSET else msgspec.structs.replace(receipt, status="error", path=path)
