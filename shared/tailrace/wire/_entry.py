"""An entry of the log, as the append script writes it and edges read it."""

from typing import NamedTuple

from tailrace.wire._errors import EntryError
from tailrace.wire._ids import parse_id
from tailrace.wire._sse import is_block

HEAD, BLOCK = b"h", b"b"
"""The fields: `<channel> <p> <generation> <l>`, and the SSE block."""


class Entry(NamedTuple):
    """One event in a log."""

    id: int
    channel: str
    before: int
    """`p`: the id of the channel's entry before this one."""
    generation: str
    """`l`: the label of the generation that this entry was appended in, ..."""
    log_before: int
    """... and the id of the log's entry before it."""
    block: bytes


def decode_entry(entry_id: bytes, fields: list[bytes]) -> Entry:
    """Read an entry from its id and its flat list of fields and values.

    Raises EntryError: it isn't one that the append script writes, or its block isn't whole.
    """
    try:
        _, head, _, block = fields
        channel, before, generation, log_before = head.decode().split(" ")
        entry = Entry(parse_id(entry_id), channel, parse_id(before), generation, parse_id(log_before), block)
    except ValueError as error:
        message = f"entry {entry_id!r} has another form: {error}"
        raise EntryError(message) from None
    if not is_block(block):
        message = f"entry {entry_id!r} holds no whole block"
        raise EntryError(message)
    return entry
