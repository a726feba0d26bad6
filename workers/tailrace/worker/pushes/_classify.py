"""Classifies jobs: which end before anything is appended, and what is appended of the others."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tailrace.queue import MAX_DEATHS, NEVER_MS, Ending, TakenJob
from tailrace.wire import (
    CLIENT_PREFIX,
    PUSH,
    PUSH_MANY,
    JobError,
    JobReceipt,
    JobState,
    PushError,
    PushJob,
    Receipt,
    bucket,
    decode_job,
    decode_pushes,
    encode_receipt,
    receipt_listener,
)
from tailrace.worker._receipts import LOST, dead
from tailrace.worker.pushes._batch import Delivery, blocks, number

GONE = "no such client"
LATE = "expired before it was its turn"


class Deliver(NamedTuple):
    """The job's pushes are valid."""

    pushes: tuple[PushJob, ...]
    many: bool
    listener: str | None
    """Who asked for a receipt."""


class Bury(NamedTuple):
    """The job can't be valid."""

    reason: str
    path: str = "$"
    listener: str | None = None


class Move(NamedTuple):
    """The job is a call of a function."""


Verdict = Deliver | Bury | Move


def judge(payload: bytes | None) -> Verdict:
    """Read a job and decide."""
    if payload is None:
        return Bury(LOST)
    try:
        job = decode_job(payload)
    except JobError as error:
        return Bury(error.message, error.path)
    many = job.f == PUSH_MANY
    if not many and job.f != PUSH:
        return Move()
    try:
        asked = decode_pushes(job)
    except PushError as error:
        return Bury(error.message, error.path, receipt_listener(job))
    return Deliver(asked.pushes, many, asked.options.receipt)


def left_out(pushes: Sequence[PushJob], late_ms: float, there: Mapping[str, int]) -> dict[int, Receipt]:
    """Say which pushes of a job are not delivered, and why: too late, or for a client that isn't there.

    `late_ms` is how long ago the job was due; `there` counts who is in a client's channel.
    """
    out = {}
    for index, push in enumerate(pushes):
        if push.expires_s is not None and late_ms > push.expires_s * 1000:
            out[index] = expired(push)
        elif push.to.startswith(CLIENT_PREFIX) and there.get(push.to) == 0:
            out[index] = nobody(push)
    return out


def expired(push: PushJob) -> Receipt:
    """Make the receipt of a push that came too late."""
    return Receipt(status="info", message=LATE, event=push.event, to=push.to)


def nobody(push: PushJob) -> Receipt:
    """Make the receipt of a push for a client that is neither connected nor away."""
    return Receipt(status="error", message=GONE, recipients=0, event=push.event, to=push.to)


Judged = Sequence[tuple[TakenJob, Verdict]]
Begun = Mapping[str, Collection[int]]
"""By ticket: the pushes that shards are known to hold."""
_POISON = Bury(f"{MAX_DEATHS} workers died having this job in hand")


class Facts(NamedTuple):
    """What has to be known to sort a batch, beyond the batch."""

    begun: Begun
    there: Mapping[str, int]
    """Counts who is in the channels asked for."""
    last: Sequence[tuple[int, int]]
    """By shard: the last push that it is known to hold of what former holders left; empty for a batch that none had."""


class Sorted(NamedTuple):
    """What becomes of a batch."""

    endings: list[Ending]
    """Jobs that end now, with nothing appended."""
    deliveries: list[Delivery]


def judge_batch(jobs: Sequence[TakenJob], now_ms: float, deaths: int, begun: Begun) -> Judged:
    """Judge each job; one that was there at too many deaths, and of which no shard has a part, isn't even read."""
    if deaths >= MAX_DEATHS:
        return [(job, judge(job.payload) if job.ticket in begun else _POISON) for job in jobs]
    return [(job, _possible(job, now_ms, judge(job.payload))) for job in jobs]


def _possible(job: TakenJob, now_ms: float, verdict: Verdict) -> Verdict:
    """Bury what would never be due, and a call that arq can't take: it reads all ids as UTF-8, and one that isn't would stop the others."""
    if job.due_ms > now_ms + NEVER_MS:
        return Bury("it would never be due: a job's score in its queue is in milliseconds since 1970")
    try:
        job.id.decode()
    except UnicodeDecodeError:
        return Bury("the id of a call has to be UTF-8") if isinstance(verdict, Move) else verdict
    return verdict


def asked(judged: Judged, begun: Begun) -> list[str]:
    """List the clients' channels of which has to be known whether anybody is there."""
    deliver = [verdict for job, verdict in judged if isinstance(verdict, Deliver) and job.ticket not in begun]
    return list({push.to for verdict in deliver for push in verdict.pushes if push.to.startswith(CLIENT_PREFIX)})


def sort(now_ms: float, judged: Judged, facts: Facts) -> Sorted:
    """Sort a batch."""
    endings, deliveries = [], []
    for job, verdict in judged:
        match verdict:
            case Deliver():
                delivery = _delivery(job, verdict, now_ms, facts)
                if verdict.pushes and len(delivery.out) == len(verdict.pushes):
                    endings.append(_nothing(delivery))
                else:
                    deliveries.append(delivery)
            case Bury(reason, path, asker):
                endings.append(Ending(job.position, dead(name(job), reason, path), asker or "", reason, path))
            case Move():
                endings.append(Ending(job.position, moved=True))
    return Sorted(endings, deliveries)


def name(job: TakenJob) -> str:
    """Return a job's id as text, whatever bytes a producer chose."""
    return job.id.decode(errors="backslashreplace")


def _delivery(job: TakenJob, verdict: Deliver, now_ms: float, facts: Facts) -> Delivery:
    pushes, many, listener = verdict
    out = skipped(job.ticket, pushes, facts) if facts.last else {}
    if job.ticket not in facts.begun:
        out |= left_out(pushes, now_ms - job.due_ms, facts.there)
    rendered = blocks(pushes, out, int(now_ms))
    return Delivery(job.position, job.ticket, name(job), pushes, rendered, out, many, listener)


def skipped(ticket: str, pushes: Sequence[PushJob], facts: Facts) -> dict[int, Receipt]:
    """Say which pushes a former holder has left out: those that a shard doesn't hold, though it holds what comes after them."""
    known = facts.begun.get(ticket, ())
    return {
        index: nobody(push) if push.expires_s is None else expired(push)
        for index, push in enumerate(pushes)
        if index not in known and (number(ticket), index) < facts.last[bucket(push.to, len(facts.last))]
    }


def _nothing(delivery: Delivery) -> Ending:
    receipt = b""
    if delivery.listener is not None:
        receipts = [delivery.out[index] for index in range(len(delivery.pushes))]
        receipt = encode_receipt(JobReceipt(delivery.job, JobState.EXPIRED, receipts, delivery.many))
    return Ending(delivery.position, receipt, delivery.listener or "")
