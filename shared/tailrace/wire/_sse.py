"""The encoder: one event as one block of Server-Sent Events (WHATWG HTML 9.2, "Server-sent events").

Lines end in LF alone; one space always follows a field's colon. Every block has a `data` line: browsers drop a block
without one, but several clients deliver it as an empty message. So comments and `retry:` only exist as lines of an
event's block.

A block is rendered once, without an id. `with_id` appends the edge's cursor as the block's last line. Some clients
store an id as soon as they have read its line, not when the block ends. With the id first, a stream that breaks inside
the data would lose the event: the client resumes after it without having dispatched it.
"""

import re
from functools import lru_cache

from tailrace.wire._errors import PushError

CONTROL_EVENTS = frozenset({"connect", "heartbeat", "gap", "reset", "drain", "busy", "denied", "expiring", "presence", "run-unknown"})
"""Names of events that only an edge writes."""
RUN_EVENTS = frozenset({"run-started", "run-restarted", "run-completed", "run-stopped", "run-failed", "run-expired"})
"""Names of events that tailrace itself appends to a log."""
RESERVED_EVENTS = CONTROL_EVENTS | RUN_EVENTS | {"open", "error"}
"""Names that applications can't push: tailrace's own, and those that an EventSource itself fires."""
_NOT_IN_LOGS = frozenset([name.encode() for name in RESERVED_EVENTS - RUN_EVENTS])
MAX_EVENT_NAME = 128
_NEWLINE = re.compile("\r\n|\r|\n")
_BREAKS = re.compile("[\r\n\0]")


@lru_cache(1024)
def check_event_name(name: str) -> str:
    """Return the name if an application can push events of it.

    Raises PushError: it is empty, too long, reserved, or would break out of its line (CR, LF and NUL are rejected,
    never stripped).
    """
    if not name or len(name) > MAX_EVENT_NAME:
        message = f"an event name has 1 to {MAX_EVENT_NAME} characters"
    elif name in RESERVED_EVENTS:
        message = f"the event name {name!r} is reserved"
    elif _BREAKS.search(name):
        message = "an event name can't hold CR, LF or NUL"
    elif name != name.encode(errors="ignore").decode():
        message = "an event name can't hold a lone surrogate"
    else:
        return name
    raise PushError(message, "$.event")


def encode_json_block(event: str, data: bytes) -> bytes:
    """Render an event whose data is compact JSON text, which never holds a line break."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data)


def encode_text_block(event: str, text: str) -> bytes:
    """Render an event whose data is text, line by line; CRLF, CR and LF all arrive as LF."""
    lines = _NEWLINE.split(text)
    data = "\ndata: ".join(lines)
    return f"event: {event}\ndata: {data}\n\n".encode()


def with_id(block: bytes, cursor: str) -> bytes:
    """Append the cursor to a block, as its last line."""
    return b"%.*bid: %b\n\n" % (len(block) - 1, block, cursor.encode())  # a precision, because a slice would copy the block


def with_retry(block: bytes, ms: int) -> bytes:
    """Have a block tell the client how many milliseconds to wait before it reconnects."""
    return b"retry: %d\n%b" % (ms, block)


def with_comment(block: bytes, text: str) -> bytes:
    """Begin a block with a comment, which clients ignore. Raises ValueError: the text holds a line break."""
    if _BREAKS.search(text):
        message = "a comment is one line"
        raise ValueError(message)
    return b":%b\n%b" % (text.encode(), block)


def is_block(block: bytes) -> bool:
    """Say whether bytes are one whole event as this module renders it: `event:`, then `data:` lines, and nothing else.

    So no entry of a log can carry a client's cursor, its `retry:`, or an event that only an edge writes. Edges ask this of
    every entry that they deliver, so it takes no regular expression and looks at a large block as seldom as it can.
    """
    end = block.find(b"\n")
    if block[:7] != b"event: " or block[end : end + 7] != b"\ndata: " or block[7:end] in _NOT_IN_LOGS or b"\r" in block:
        return False
    if block[-2:] != b"\n\n":
        return False
    if block.find(b"\n", end + 1) == len(block) - 2:
        return True
    return block.count(b"\n") == block.count(b"\ndata: ") + 2  # so each line but the first is one of data
