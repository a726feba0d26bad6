"""The cursor, which clients carry as the SSE `id:`: for each shard a generation and a position, tightly written.

A `1` (the form's version), then for each shard the generation's label (5 characters), the position's milliseconds
(7 digits of base 64) and its sequence number (as many digits as it takes, none for 0); a dot between shards. Eight
shards take at most 128 characters while sequence numbers stay below 262,144, all of `[A-Za-z0-9._~-]`: more, or other
bytes, would force a CORS preflight on every reconnect (Fetch, "CORS-safelisted request-header").

While a stream is still being rewound, a position isn't enough: of each channel only the last events are owed, up to where
the reader was when the stream began. Then the places are those ends, and a mark follows after `-`: which shard is being
rewound (1 digit), how many events of each channel are owed (2 digits), how many seconds before the shard's end the oldest of
all is, and, once something of the shard was written, `-` and how many milliseconds before that end, `-` and its sequence
number. Shards before it are finished, and those after it haven't begun.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from tailrace.wire._errors import CursorError
from tailrace.wire._ids import id_at, id_parts

LABEL_LENGTH = 5
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789~_"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
"""Two digits at a time: an edge writes a cursor for each event."""
_MS_DIGITS = 7
_SHARD = re.compile(rf"([A-Za-z0-9_~]{{{LABEL_LENGTH}}})([A-Za-z0-9_~]{{{_MS_DIGITS}}})([A-Za-z0-9_~]{{0,11}})")
_REWIND = re.compile(r"([A-Za-z0-9_~])([A-Za-z0-9_~]{2})([A-Za-z0-9_~]{1,7})(?:-([A-Za-z0-9_~]{1,7})-([A-Za-z0-9_~]{1,10}))?")
_VERSION = "1"


class Place(NamedTuple):
    """Where a client is in one shard: the generation's label and the id of the last entry that was handled for it."""

    generation: str
    position: int


Cursor = tuple[Place, ...]


class RewindMark(NamedTuple):
    """How far a rewind is; the cursor's places say where it ends."""

    most: int
    """Events of each channel."""
    since_ms: int
    """None of those that are owed is older; in Unix milliseconds."""
    shard: int
    """The one being rewound."""
    reached: int | None
    """The last id that was handled in it; None before the first."""


def encode_cursor(places: Cursor) -> str:
    """Write a cursor."""
    return join_places([encode_place(generation, position) for generation, position in places])


def join_places(places: Sequence[str]) -> str:
    """Put a cursor together from its shards' parts."""
    return _VERSION + ".".join(places)


@lru_cache(maxsize=64)  # who went on from one event is asked for again with the next
def encode_place(generation: str, position: int) -> str:
    """Write one shard's part of a cursor."""
    ms, seq = id_parts(position)
    place = generation + (_ms_digits(ms) if ms < 1 << 6 * _MS_DIGITS else _digits(ms))
    return place + _digits(seq) if seq else place


@lru_cache(maxsize=1024)  # who lost one edge comes to another with the same few cursors
def decode_cursor(text: str, shards: int) -> Cursor:
    """Read the places of a cursor of so many shards; for what may follow them see `decode_rewind`.

    Raises CursorError: it is malformed or belongs to another number of shards.
    """
    parts = text[1:].partition("-")[0].split(".")
    if text[:1] != _VERSION or len(parts) != shards:
        message = f"no cursor of {shards} shard(s): {text[:40]!r}"
        raise CursorError(message)
    return tuple([_decode_place(part, text) for part in parts])


def encode_rewind(mark: RewindMark, end: int) -> str:
    """Write what follows a cursor's places; `end` is the position of the marked shard."""
    end_ms, _ = id_parts(end)
    age_s = max(0, -((mark.since_ms - end_ms) // 1000))  # rounded up, so that nothing owed is older
    text = f"-{_DIGITS[mark.shard]}{_PAIRS[mark.most]}{_digits(age_s)}"
    if mark.reached is None:
        return text
    ms, seq = id_parts(mark.reached)
    return f"{text}-{_digits(end_ms - ms)}-{_digits(seq)}"


def decode_rewind(text: str, cursor: Cursor) -> RewindMark | None:
    """Read the mark of a cursor whose places have been read; None where it has none. Raises CursorError."""
    _, dash, mark = text.partition("-")
    if not dash:
        return None
    match = _REWIND.fullmatch(mark)
    shard = _number(match[1]) if match else len(cursor)
    if not match or shard >= len(cursor) or not _number(match[2]):
        message = f"malformed cursor: {text[:40]!r}"
        raise CursorError(message)
    end_ms, _ = id_parts(cursor[shard].position)
    reached = id_at(max(0, end_ms - _number(match[4])), _number(match[5])) if match[4] else None
    return RewindMark(_number(match[2]), max(0, end_ms - 1000 * _number(match[3])), shard, reached)


def _decode_place(part: str, text: str) -> Place:
    match = _SHARD.fullmatch(part)
    if not match or (seq := _number(match[3])) >= 1 << 64:
        message = f"malformed cursor: {text[:40]!r}"
        raise CursorError(message)
    return Place(match[1], id_at(_number(match[2]), seq))


def _ms_digits(ms: int) -> str:
    return _PAIRS[ms >> 30] + _PAIRS[ms >> 18 & 4095] + _PAIRS[ms >> 6 & 4095] + _DIGITS[ms & 63]


def _digits(number: int) -> str:
    digits = _DIGITS[number & 63]
    while number := number >> 6:
        digits = _DIGITS[number & 63] + digits
    return digits


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number << 6 | _VALUES[digit]
    return number
