"""A push: one request to deliver, checked once where it enters and rendered once."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, cast

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from tailrace.wire._channels import CHANNEL_PATTERN, CHANNEL_RULE, check_channel
from tailrace.wire._errors import ChannelError, JobError, PushError, TooLargeError
from tailrace.wire._sse import check_event_name, encode_json_block, encode_text_block

MAX_DATA_BYTES = 1 << 20
"""The most that one push's `data` or `text` may have (1 MiB)."""

Channel = Annotated[str, Meta(pattern=CHANNEL_PATTERN, description="The channel to deliver to.")]
FARTHEST_S = 366 * 86_400
"""How far ahead a push can be scheduled."""
Seconds = Annotated[float, Meta(ge=0, le=FARTHEST_S)]
Key = Annotated[str, Meta(min_length=1, max_length=256)]


class PushJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A push as it stands in a job."""

    to: Channel
    event: Annotated[str, Meta(description="The SSE event type.")] = "message"
    data: Annotated[Raw | UnsetType, Meta(description="JSON, delivered as its compact text.")] = UNSET
    text: Annotated[str | UnsetType, Meta(description="Text, delivered line by line, instead of `data`.")] = UNSET
    key: Annotated[Key | None, Meta(description="Appended at most once per channel and key, as long as keys are remembered.")] = None
    expires_s: Annotated[Seconds | None, Meta(description="Not appended any more so many seconds after it was due.")] = None
    stamp: Annotated[bool, Meta(description="Give `data` a `timestamp` if it is an object without one.")] = True


class PushRequest(PushJob, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A push as a producer asks for it: with the time when it is due."""

    delay_s: Annotated[Seconds | None, Meta(description="Due so many seconds from now.")] = None
    at: Annotated[datetime | None, Meta(description="Due at this time (RFC 3339 with an offset), instead of `delay_s`.")] = None

    def job(self) -> PushJob:
        """Return what goes into the job; its time goes into the queue."""
        return PushJob(**{field: getattr(self, field) for field in PushJob.__struct_fields__})

    def due_ms(self, now_ms: int) -> int | None:
        """Return when the push is due, in Unix milliseconds, or None for at once.

        Raises PushError: `at` has no offset or is too far ahead, or both `at` and `delay_s` are given.
        """
        if self.at is None:
            return now_ms + round(self.delay_s * 1000) if self.delay_s else None
        if self.delay_s is not None:
            message = "give `at` or `delay_s`, not both"
            raise PushError(message, "$.at")
        if self.at.tzinfo is None:
            message = "a time needs an offset, such as 2026-01-31T12:00:00Z"
            raise PushError(message, "$.at")
        due_ms = round(self.at.timestamp() * 1000)
        if due_ms > now_ms + FARTHEST_S * 1000:
            message = f"a push can be scheduled {FARTHEST_S // 86_400} days ahead at most"
            raise PushError(message, "$.at")
        return due_ms


_LONE_SURROGATE = re.compile(rb"(?<!\\)(?:\\\\)*(?:\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F])")


class _Stamped(msgspec.Struct):
    timestamp: Raw | UnsetType = UNSET


_stamped = msgspec.json.Decoder(_Stamped)


def convert_error(error: Exception, path: str = "$", source: bytes = b"") -> PushError:
    """Say in our words, and with the path, what msgspec found; `$` in its message is `path` here.

    `source` is what was decoded, if the caller has it: msgspec calls a lone surrogate "truncated".
    """
    match error:
        case msgspec.ValidationError():
            message, _, where = str(error).rpartition(" - at `$")
            message, where = (message, where[:-1]) if message else (str(error), "")
            if CHANNEL_PATTERN in message:
                message = f"bad channel name: {CHANNEL_RULE}"
            if "unknown field" in message:
                where += f".{message.split('`')[1]}"
            return PushError(message, path + where)
        case RecursionError():
            return PushError("JSON is nested too deeply", path)
        case UnicodeDecodeError():
            return JobError(f"not UTF-8: {error.reason} at byte {error.start}", path)
        case _ if _LONE_SURROGATE.search(source):
            return JobError("a string holds a lone surrogate", path)
        case _:
            return JobError(f"not JSON: {str(error).removesuffix('.')}", path)


def check_push(push: PushJob, path: str = "$") -> PushJob:
    """Return the push if it can be delivered.

    Raises PushError: a bad channel or event name, neither or both of `data` and `text`, or `data` that is no JSON;
    TooLargeError: more of either than MAX_DATA_BYTES.
    """
    try:
        check_channel(push.to)  # the pattern's `$` lets a last line feed by
        check_event_name(push.event)
        _check_payload(push)
    except ChannelError as error:
        raise PushError(str(error), path + ".to") from None
    except PushError as error:
        raise type(error)(error.message, path + error.path[1:]) from None
    return push


def _check_payload(push: PushJob) -> None:
    if (push.data is UNSET) == (push.text is UNSET):
        message = "give `data` or `text`" + ("" if push.data is UNSET else ", not both")
        raise PushError(message, "$.data" if push.data is UNSET else "$.text")
    if push.text is not UNSET:
        name, size = "text", len(push.text.encode())
    else:
        name, size = "data", len(memoryview(cast("Raw", push.data)))
    if size > MAX_DATA_BYTES:
        message = f"`{name}` has {size} bytes, and {MAX_DATA_BYTES} at most are delivered"
        raise TooLargeError(message, f"$.{name}")
    if push.data is not UNSET:
        _check_json(push.data)


def _check_json(data: Raw) -> None:
    """Find what Raw lets by: numbers out of range, bytes that aren't UTF-8."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PushError(convert_error(error, source=bytes(data)).message, "$.data") from None


def stamp(now_ms: int) -> str:
    """Write a time the way pushes are stamped: `2026-01-31T12:00:00.000Z`."""
    return f"{_second(now_ms // 1000)}.{now_ms % 1000:03}Z"


@lru_cache(4)  # a batch has one time, and one second has many batches
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def render(push: PushJob, now_ms: int) -> bytes:
    """Render a checked push as an SSE block without id; `now_ms` is what it is stamped with, if it is to be."""
    if push.data is UNSET:
        return encode_text_block(push.event, push.text if push.text is not UNSET else "")
    data = msgspec.json.format(memoryview(push.data), indent=-1)
    if push.stamp and data.startswith(b"{") and not _has_timestamp(data):
        data = _first_field(now_ms) + (b"}" if data == b"{}" else b"," + data[1:])
    return encode_json_block(push.event, data)


def _has_timestamp(data: bytes) -> bool:
    if b'"timestamp"' not in data and b"\\" not in data:  # nor in the way that JSON lets one hide it
        return False
    return _stamped.decode(data).timestamp is not UNSET


@lru_cache(4)
def _first_field(now_ms: int) -> bytes:
    return b'{"timestamp":"%b"' % stamp(now_ms).encode()
