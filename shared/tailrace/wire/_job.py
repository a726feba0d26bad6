"""The job wire: arq's own job format with a JSON serializer, so that any language may produce."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from tailrace.wire._errors import JobError, PushError
from tailrace.wire._foreign import encode_foreign
from tailrace.wire._push import PushJob, check_push, convert_error

PUSH, PUSH_MANY = "push", "push_many"
_PICKLE = b"\x80"
_EMPTY_ARRAY, _NO_KEYWORDS = Raw(b"[]"), Raw(b"{}")
"""PHP writes an empty array for no keywords."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The keywords of a `push` or `push_many` job."""

    receipt: str | None = None
    """Make a receipt, and announce it to who listens under this name (`Keys.receipts`)."""


class Job(msgspec.Struct, frozen=True):
    """A job as it stands in Redis under `arq:job:<id>`, its arguments not yet read. Fields of later versions are ignored."""

    f: str
    """The function's name."""
    a: Raw = Raw(b"[]")
    """Its positional arguments, a JSON array."""
    k: Raw = Raw(b"{}")
    """Its keyword arguments, a JSON object."""
    t: int | None = None
    """Tries so far, where a job was put back."""
    et: int | float = 0
    """When it was enqueued, in Unix milliseconds; some languages know no other numbers than floats."""
    receipt: str | UnsetType | None = UNSET
    """Make a receipt, and announce it to whoever listens under this name. If the field is there, null included, then all of `k` belongs
    to the function; otherwise `receipt` among the keywords asks for the receipt."""


class Pushes(msgspec.Struct, frozen=True):
    """What a `push` or `push_many` job asks for."""

    pushes: tuple[PushJob, ...]
    options: Options


class _Asker(msgspec.Struct, frozen=True):
    """The one keyword that pushes and calls have in common; others beside it don't matter here."""

    receipt: str | None = None


_job = msgspec.json.Decoder(Job)
_asker = msgspec.json.Decoder(_Asker)
_one = msgspec.json.Decoder(tuple[PushJob])
_many = msgspec.json.Decoder(tuple[list[PushJob]])
_options = msgspec.json.Decoder(Options)
_encoder = msgspec.json.Encoder(enc_hook=encode_foreign)


def encode_job(function: str, args: Sequence[Any], kwargs: Any, enqueued_ms: int) -> bytes:
    """Write a job for any function."""
    return _encoder.encode({"t": None, "f": function, "a": args, "k": kwargs, "et": enqueued_ms})


def encode_call(function: str, args: Sequence[Any], kwargs: Mapping[str, Any], enqueued_ms: int, receipt: str | None) -> bytes:
    """Write a job for an application's function. `receipt` names who listens for its receipt, if anybody does."""
    return _encoder.encode({"t": None, "f": function, "a": args, "k": kwargs, "et": enqueued_ms, "receipt": receipt})


def encode_pushes(pushes: Sequence[PushJob], enqueued_ms: int, *, many: bool = False, receipt: str | None = None) -> bytes:
    """Write a `push` job, or with `many` a `push_many` job."""
    return encode_job(PUSH_MANY if many else PUSH, [pushes] if many else pushes, Options(receipt), enqueued_ms)


def decode_job(payload: bytes) -> Job:
    """Read a job's envelope.

    Raises JobError: it is pickled (and is never unpickled), or is no JSON object of arq's form.
    """
    if payload.startswith(_PICKLE):
        message = "the job is pickled, which tailrace never reads: give the producer `job_serializer=msgspec.json.encode`"
        raise JobError(message)
    try:
        job = _job.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise JobError(*convert_error(error, source=payload).args) from None
    return msgspec.structs.replace(job, k=_NO_KEYWORDS) if job.k == _EMPTY_ARRAY else job


def decode_pushes(job: Job) -> Pushes:
    """Read and check what a `push` or `push_many` job asks for.

    Raises PushError: an argument can't be valid; its path begins at the push (`$.event`), in `push_many` at the array
    (`$[3].event`).
    """
    many = job.f == PUSH_MANY
    try:
        options = _options.decode(job.k)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise convert_error(error, "$.k") from None
    try:
        pushes = tuple(_many.decode(job.a)[0]) if many else _one.decode(job.a)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _from_push(convert_error(error)) from None
    if isinstance(job.receipt, str):
        options = Options(job.receipt)
    return Pushes(tuple([check_push(push, f"$[{index}]" if many else "$") for index, push in enumerate(pushes)]), options)


def receipt_listener(job: Job) -> str | None:
    """Return who asked for a job's receipt, whatever else is wrong with the job or unknown in it."""
    if job.receipt is not UNSET:
        return job.receipt
    try:
        return _asker.decode(job.k).receipt
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _from_push(error: PushError) -> PushError:
    """Begin the path at the push, not at the list of arguments that it stands in."""
    path = "$" + error.path.removeprefix("$[0]") if error.path.startswith("$[0]") else "$"
    message = error.message if error.path.startswith("$[0]") else f"the job's arguments: {error.message}"
    return type(error)(message, path)
