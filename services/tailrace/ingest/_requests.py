"""Reading a request's body: one push, or an array of them."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tailrace.wire import PushRequest, TooLargeError, check_push, convert_error

MAX_BODY_BYTES = 16 << 20
MAX_PUSHES = 10_000
"""The most in one array: it is one job, and whoever comes after it waits."""


class Asked(NamedTuple):
    """What a request asks for."""

    pushes: Sequence[PushRequest]
    many: bool


_body = msgspec.json.Decoder(PushRequest | list[PushRequest])


def read_body(body: bytes) -> Asked:
    """Read and check a body.

    Raises JobError: it isn't JSON; TooLargeError: too many pushes, or too much data in one; PushError: a value that
    can't be, with its path (`$[3].event`).
    """
    try:
        asked = _body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise convert_error(error, source=body) from None
    many = isinstance(asked, list)
    pushes = asked if isinstance(asked, list) else [asked]
    if len(pushes) > MAX_PUSHES:
        raise TooLargeError(f"an array has {MAX_PUSHES} pushes at most, and this one has {len(pushes)}")
    for index, push in enumerate(pushes):
        check_push(push, f"$[{index}]" if many else "$")
    return Asked(pushes, many)
