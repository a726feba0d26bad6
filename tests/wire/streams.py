"""Random events, the stream that the encoder makes of them, and what a client has to see."""

from dataclasses import dataclass
from typing import Literal

import msgspec
from hypothesis import strategies as st

from tailrace.wire import RESERVED_EVENTS, PushJob, render, with_id

_nasty = st.sampled_from(
    [
        "",
        "\n",
        "\r",
        "\r\n",
        "\n\r",
        "\0",
        "\ufeff",
        "\u2028",
        "\u2029",
        "\u0085",
        "\v",
        "\f",
        "\x1c",
        " ",
        "data: x\n\n",
        ":",
        "id: 1",
        "\U0010ffff",
    ]
)
_characters = st.characters(exclude_categories=["Cs"])
texts = st.lists(_nasty | st.text(_characters, max_size=12), max_size=8).map("".join)
_names = st.text(_characters, min_size=1, max_size=12).filter(lambda name: not set(name) & set("\r\n\0"))
names = st.sampled_from(["message", "chat-message"]) | _names.filter(lambda name: name not in RESERVED_EVENTS)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=6,
)


@dataclass(frozen=True)
class Pushed:
    """An event as it was asked for."""

    event: str
    payload: object
    kind: Literal["json", "text"]

    def block(self) -> bytes:
        if self.kind == "text":
            return render(PushJob(to="a", event=self.event, text=str(self.payload)), 0)
        return render(PushJob(to="a", event=self.event, data=msgspec.Raw(msgspec.json.encode(self.payload)), stamp=False), 0)

    def seen(self, data: str) -> object:
        """Return what a client that got `data` has of the payload."""
        return data if self.kind == "text" else msgspec.json.decode(data)

    def expected(self) -> object:
        """Return what it should have: JSON as it was, text with every line break as LF."""
        return str(self.payload).replace("\r\n", "\n").replace("\r", "\n") if self.kind == "text" else self.payload


pushed = st.builds(Pushed, names, texts, st.just("text")) | st.builds(Pushed, names, _json, st.just("json"))
large = [Pushed("large", "é\r\n" * 200_000, "text"), Pushed("large", ["x" * 500_000], "json")]


def stream(events: list[Pushed]) -> bytes:
    """Write events as a response's body; the ids are their numbers."""
    return b":\n" + b"".join(with_id(event.block(), str(number)) for number, event in enumerate(events))


def check(events: list[Pushed], found: list[list[str]]) -> None:
    """Hold what a parser found (event, data, id) against what was pushed."""
    assert [event for event, _, _ in found] == [event.event for event in events]
    assert [number for _, _, number in found] == [str(number) for number in range(len(events))]
    for event, (_, data, _) in zip(events, found, strict=True):
        assert event.seen(data) == event.expected()
