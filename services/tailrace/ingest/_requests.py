"""Reading a request's body: one push, or an array of them."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tailrace.wire import PushRequest, check_push, convert_error

MAX_BODY_BYTES = 16 << 20


class Asked(NamedTuple):
    """What a request asks for."""

    pushes: Sequence[PushRequest]
    many: bool


_body = msgspec.json.Decoder(PushRequest | list[PushRequest])


def read_body(body: bytes) -> Asked:
    """Read and check a body.

    Raises JobError: it isn't JSON; TooLargeError: a push has too much data; PushError: a value that can't be, with its path (`$[3].event`).
    """
    try:
        asked = _body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise convert_error(error) from None
    many = isinstance(asked, list)
    pushes = asked if isinstance(asked, list) else [asked]
    for index, push in enumerate(pushes):
        check_push(push, f"$[{index}]" if many else "$")
    return Asked(pushes, many)
