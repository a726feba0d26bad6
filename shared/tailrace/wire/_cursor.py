"""The cursor, which clients carry as the SSE `id:`: for each shard a generation and a position, tightly written.

A `1` (the form's version), then for each shard the generation's label (5 characters), the position's milliseconds
(7 digits of base 64) and its sequence number (as many digits as it takes, none for 0); a dot between shards. Eight
shards take at most 128 characters while sequence numbers stay below 262,144, all of `[A-Za-z0-9._~-]`: more, or other
bytes, would force a CORS preflight on every reconnect (Fetch, "CORS-safelisted request-header").
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
_VERSION = "1"


class Place(NamedTuple):
    """Where a client is in one shard: the generation's label and the id of the last entry that was handled for it."""

    generation: str
    position: int


Cursor = tuple[Place, ...]


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
    """Read a cursor of so many shards.

    Raises CursorError: it is malformed or belongs to another number of shards.
    """
    parts = text[1:].split(".")
    if text[:1] != _VERSION or len(parts) != shards:
        message = f"no cursor of {shards} shard(s): {text[:40]!r}"
        raise CursorError(message)
    return tuple([_decode_place(part, text) for part in parts])


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
