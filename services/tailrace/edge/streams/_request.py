"""What a client asks for: channels, its id, and where it goes on from."""

import os
import re
from collections.abc import Iterable
from itertools import islice
from urllib.parse import parse_qsl

import msgspec

from tailrace.edge._errors import RequestError
from tailrace.wire import ALL, CLIENT_PREFIX, USER_PREFIX, ChannelError, check_channel, client_channel

MAX_REWIND = 1000
_CURSORS = frozenset({"last_event_id", "lastEventId", "lastEventID", "Last-Event-ID"})
"""Parameters that carry the cursor: ours, and those that clients without headers add by themselves, to the end of the URL."""
_PARAMETERS = _CURSORS | {"channel", "client_id", "rewind"}
_MOST_IGNORED, _MOST_CHARACTERS = 10, 64
"""How many ignored parameters are reported to the client, and how much of each name."""
_MOST_OTHERS = 64
"""How many parameters a request may have beside its channels; parsing thousands takes the loop tens of milliseconds."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
"""Sets the two highest bits of a hex digit to 10."""


class StreamRequest(msgspec.Struct, frozen=True):
    """A request for a stream, checked."""

    client: str
    channels: tuple[str, ...]
    """Those asked for, each once, then the connection's own."""
    cursor: str = ""
    """Where to go on from; empty on a first connection."""
    rewind: int = 0
    """On a first connection: how many of each channel's last events to begin with."""
    ignored: tuple[str, ...] = ()
    """Names of unknown parameters, in order; the first few, and each cut to a bounded length."""


def read_request(
    query: bytes, headers: Iterable[tuple[bytes, bytes]], max_channels: int, max_channel_bytes: int = 16 << 10
) -> StreamRequest:
    """Read a request from its query string and headers.

    Raises RequestError: a bad channel, client id or rewind, too many channels or parameters (400), a channel that can't be asked for (403).
    """
    most = max_channels + _MOST_OTHERS
    if (count := query.count(b"&") + 1) > most:
        raise RequestError(f"{count} query parameters: {most} are allowed", "query")
    fields = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    first = dict(reversed(fields))
    asked = list(dict.fromkeys([value for name, value in fields if name == "channel"]))
    if len(asked) > max_channels:
        raise RequestError(f"{len(asked)} channels: {max_channels} are possible", "channel")
    if (size := sum(map(len, asked))) > max_channel_bytes:
        raise RequestError(f"{size} bytes of channel names: {max_channel_bytes} are allowed", "channel")
    client = _client(first.get("client_id"))
    own = [name for name in (ALL, client_channel(client)) if name not in asked]
    header = next((value for name, value in headers if name == b"last-event-id"), b"").decode("latin-1")
    return StreamRequest(
        client=client,
        channels=(*[_channel(name) for name in asked], *own),
        cursor=header or ("" if _CURSORS.isdisjoint(first) else _last_cursor(fields)),
        rewind=_rewind(first.get("rewind", "0")),
        ignored=() if first.keys() <= _PARAMETERS else _ignored(fields),
    )


def _channel(name: str) -> str:
    try:
        check_channel(name)
    except ChannelError as error:
        raise RequestError(str(error), "channel") from None
    if name.startswith((CLIENT_PREFIX, USER_PREFIX)):
        raise RequestError(f"channel {name!r} belongs to one connection or person and can't be asked for", "channel", 403)
    return name


def _last_cursor(fields: list[tuple[str, str]]) -> str:
    return next((value for name, value in reversed(fields) if value and name in _CURSORS), "")


def _ignored(fields: list[tuple[str, str]]) -> tuple[str, ...]:
    names = dict.fromkeys([name for name, _ in fields if name not in _PARAMETERS])
    return tuple([name[:_MOST_CHARACTERS] for name in islice(names, _MOST_IGNORED)])


def _client(text: str | None) -> str:
    if text is None:
        return _new_id()
    if not _UUID.fullmatch(text):
        raise RequestError(f"client_id {text[:40]!r} is no UUID", "client_id")
    return text.lower()


def _new_id() -> str:
    """Write a UUID of version 4 (RFC 9562, 5.4): `uuid.uuid4` takes four times as long, a twentieth of an accept."""
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"


def _rewind(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5 and int(text) <= MAX_REWIND):
        raise RequestError(f"rewind {text[:40]!r}: a whole number up to {MAX_REWIND} is needed", "rewind")
    return int(text)
