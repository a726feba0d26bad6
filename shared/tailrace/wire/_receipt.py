"""Receipts: what became of a push, and of a job."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType


class JobState(StrEnum):
    """Where a job is.

    A push for a client that isn't there is *expired*: it ended on purpose, and nothing was appended.
    """

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    APPENDED = "appended"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DEAD = "dead"


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one push."""

    status: Annotated[str, Meta(description="`success`, `info` (nobody is there) or `error`.")]
    message: str
    id: Annotated[str | UnsetType, Meta(description="The entry's, if one was appended.")] = UNSET
    recipients: Annotated[int | UnsetType, Meta(description="Connected clients that the channel had when the event was appended.")] = UNSET
    event: str | UnsetType = UNSET
    to: str | UnsetType = UNSET
    data: Annotated[Raw | UnsetType, Meta(description="The data as it was delivered; of a duplicate, as it would have been.")] = UNSET
    text: str | UnsetType = UNSET
    timestamp: Annotated[str | UnsetType, Meta(description="When it was appended (what `data` was stamped with), RFC 3339.")] = UNSET
    duplicate: Annotated[
        bool,
        Meta(description="The key was known: `id` is the first entry's; the rest describes this push, of which nothing was appended."),
    ] = False
    path: Annotated[str | UnsetType, Meta(description="The field that is wrong.")] = UNSET


class JobReceipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a job: its state, and a receipt for each of its pushes."""

    job: str
    state: JobState
    receipts: list[Receipt] = []
    many: bool = False
    """Whether it was a `push_many`."""


_receipt = msgspec.json.Decoder(JobReceipt)


def encode_receipt(receipt: JobReceipt) -> bytes:
    """Write a job's receipt."""
    return msgspec.json.encode(receipt)


def decode_receipt(text: bytes) -> JobReceipt:
    """Read a job's receipt. Raises msgspec.DecodeError."""
    return _receipt.decode(text)
