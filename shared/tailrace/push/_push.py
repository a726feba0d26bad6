"""A push as a Python producer writes it, and how it becomes the wire's."""

import math
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tailrace.wire import PushError, PushRequest, check_numbers, check_push, convert_error, encode_foreign


class Push(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request to deliver an event; give `data` or `text`."""

    to: str
    """The channel: `all`, `client:<id>`, `user:<name>`, or one of the application's own (`room:1`)."""
    event: str = "message"
    """The SSE event type."""
    data: Any = UNSET
    """Anything that msgspec writes as JSON (a Struct, a dict, a list, text, a number, None), or a pydantic model."""
    text: str | UnsetType = UNSET
    """Text that goes out as it is, line by line, instead of `data`."""
    key: str | None = None
    """Append at most one event per channel and key, as long as keys are remembered (1 h)."""
    delay_s: float | None = None
    """Due so many seconds from now."""
    at: datetime | None = None
    """Due at this time, which has an offset, instead of `delay_s`."""
    expires_s: float | None = None
    """Don't append any more so many seconds after it was due."""
    stamp: bool = True
    """Give `data` a `timestamp` if it is an object without one."""


_request = msgspec.json.Decoder(PushRequest)
_encoder = msgspec.json.Encoder(enc_hook=encode_foreign)


def to_request(push: Push, path: str = "$") -> PushRequest:
    """Turn a push into the wire's and check it, exactly as an HTTP request is.

    Raises PushError: it can't be valid, or its data can't be written as JSON.
    """
    for name in ("delay_s", "expires_s"):
        value = getattr(push, name)
        if isinstance(value, float) and not math.isfinite(
            value
        ):  # JSON has no such numbers, so msgspec would write null, which is no time at all
            raise PushError("is no number of seconds", f"{path}.{name}")
    try:
        encoded = _encoder.encode(push)
        if push.data is not UNSET and b"null" in encoded:
            check_numbers(push.data, f"{path}.data")
        request = _request.decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PushError(*convert_error(error, path).args) from None
    except (TypeError, ValueError, OverflowError) as error:  # from the encoder
        raise PushError(f"can't be written as JSON: {error}", f"{path}.{_unwritable(push)}") from None
    check_push(request, path)
    return request


def _unwritable(push: Push) -> str:
    """Name the field that can't be written."""
    for name in ("to", "event", "text", "key"):
        try:
            str(getattr(push, name)).encode()
        except ValueError:  # a lone surrogate
            return name
    return "data"
