"""A client that keeps an id as soon as its line is there, as npm's `eventsource` 2 and `fetch-event-source` do."""

from typing import NamedTuple


class Dispatched(NamedTuple):
    event: str
    data: str


class EagerParser:
    """Reads a stream in parts of any size. `cursor` is what the client would resume from."""

    def __init__(self) -> None:
        self.cursor = ""
        self.events: list[Dispatched] = []
        self._rest = b""
        self._event = ""
        self._data: list[str] = []

    def feed(self, part: bytes) -> None:
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            self._take(line.decode())

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        match name, value.removeprefix(" "):
            case ("event", text):
                self._event = text
            case ("data", text):
                self._data.append(text)
            case ("id", text):
                self.cursor = text
            case ("", _) if not line:
                self.events.append(Dispatched(self._event or "message", "\n".join(self._data)))  # without data, too
                self._event, self._data = "", []


def cut_at(stream: bytes, cut: int) -> EagerParser:
    """Parse a stream that broke after so many bytes."""
    parser = EagerParser()
    parser.feed(stream[:cut])
    return parser


def inevitable(stream: bytes, cut: int) -> bool:
    """Say whether a cut falls between the end of an id's line and the empty line: such clients then have an id without its event."""
    return stream[cut - 1 : cut + 1] == b"\n\n"
