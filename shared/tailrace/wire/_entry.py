"""An entry of the log, as the append script writes it and edges read it."""

from typing import NamedTuple

from tailrace.wire._errors import EntryError
from tailrace.wire._ids import parse_id
from tailrace.wire._sse import is_block

HEAD, BLOCK = b"h", b"b"
"""The first two fields: `<channel> <p> <generation> <l>`, and the SSE block. Later versions may add words and fields after these."""


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

    Ignores additional words of the head and additional fields, which a later version may write.
    Raises EntryError: the append script didn't write this entry, or its block isn't whole. Links point back: a reader that followed
    one to the future would wait there for ever.
    """
    try:
        words, block = fields[1].decode().split(" "), fields[3]
        entry = Entry(parse_id(entry_id), words[0], parse_id(words[1]), words[2], parse_id(words[3]), block)
    except (ValueError, IndexError) as error:
        message = f"entry {entry_id!r} has another form: {error}"
        raise EntryError(message) from None
    if not (entry.before < entry.id > entry.log_before):
        message = f"entry {entry_id!r} links to itself or to a later entry"
        raise EntryError(message)
    if not is_block(block):
        message = f"entry {entry_id!r} holds no whole block"
        raise EntryError(message)
    return entry
