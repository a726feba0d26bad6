"""A stream, read event by event, as a browser's EventSource reads it."""

import http.client
import json
import time
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

_CONNECT_S = 10
_CONTROL = frozenset({"connect", "heartbeat"})


class NoEventError(Exception):
    """No event arrived in time, or the stream ended; the message says which."""


class Received(NamedTuple):
    """One event."""

    type: str
    text: str
    """The data as EventSource would give it."""
    id: str
    """The cursor: `System.listen(cursor=...)` continues after this event."""

    @property
    def data(self) -> Any:
        """The data as JSON. Raises ValueError: it is text."""
        return json.loads(self.text)


class Listener:
    """One open stream. `with` closes it."""

    def __init__(self, edge_url: str, channels: Sequence[str], *, client_id: str = "", cursor: str = "") -> None:
        """Connect. Raises NoEventError: the edge did not let this client in."""
        self.client_id = client_id or str(uuid.uuid4())
        """A push to `client:<client_id>` reaches this stream alone."""
        query = [("channel", channel) for channel in channels] + [("client_id", self.client_id)]
        query += [("last_event_id", cursor)] if cursor else []
        address = urlsplit(edge_url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_CONNECT_S)
        self._connection.request("GET", f"/sse?{urlencode(query)}", headers={"Accept": "text/event-stream"})
        self._response = self._connection.getresponse()
        first = self._read(time.monotonic() + _CONNECT_S)
        if first.type != "connect":
            self.close()
            raise NoEventError(f"the edge answered {self._response.status} {first.type}: {first.text}")

    def next(self, timeout_s: float = 5) -> Received:
        """Return the next event, heartbeats left out. Raises NoEventError: none came within `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        while (event := self._read(deadline)).type in _CONTROL:
            pass
        return event

    def close(self) -> None:
        """Close the stream."""
        self._response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _read(self, deadline: float) -> Received:
        """Read one block with data (WHATWG HTML 9.2.6; edges end lines in LF alone)."""
        fields: dict[str, str] = {}
        lines: list[str] = []
        while True:
            line = self._line(deadline)
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                lines.append(value)
            elif line:
                fields[name] = value
            elif lines:
                return Received(fields.get("event", "message"), "\n".join(lines), fields.get("id", ""))

    def _line(self, deadline: float) -> str:
        sock = self._connection.sock
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            line = self._response.readline()
        except TimeoutError:
            raise NoEventError("no event arrived in time") from None
        if not line:
            raise NoEventError("the stream ended")
        return line.decode().rstrip("\n")
