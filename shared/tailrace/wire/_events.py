"""What the edge itself says on a stream."""

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from tailrace.wire._sse import encode_json_block


class Control(msgspec.Struct, frozen=True, tag_field="event", omit_defaults=False):
    """A control event; its tag is the SSE event type and isn't part of the data."""


class Connect(Control, frozen=True, tag="connect"):
    """The first event of every stream."""

    id: str
    """The client's id."""
    time: str
    message: str
    channels: list[str]
    """Those asked for, then the connection's own."""
    heartbeat_s: float
    ignored: list[str] | UnsetType = UNSET
    """Names of the request's query parameters that mean nothing, if there are any."""
    connections: int | UnsetType = UNSET
    """How many streams of this edge process have this client's id, if there are several: another page, or someone who stole it."""


class Heartbeat(Control, frozen=True, tag="heartbeat"):
    """Says that the stream lives, and carries the cursor on."""

    time: str
    message: str = "alive"


class Gap(Control, frozen=True, tag="gap"):
    """Events of a channel are missing here: some came after `after`, and what follows begins with or after `next`."""

    channel: str
    after: str
    next: str


class Reset(Control, frozen=True, tag="reset"):
    """The stream starts anew at the live end: the cursor can't be gone on from."""

    reason: str


class Drain(Control, frozen=True, tag="drain"):
    """The edge is about to end this stream; reconnect after `retry_ms`."""

    retry_ms: int


class Busy(Control, frozen=True, tag="busy"):
    """The edge can't serve this stream now; reconnect after `retry_ms`."""

    reason: str
    """`full`, `address`, `client`, `starting`, `draining`, `failed`, `redis` or `behind`."""
    retry_ms: int


def encode_control(event: Control) -> bytes:
    """Render a control event without id."""
    name = type(event).__struct_config__.tag
    data = msgspec.json.encode({field: value for field, value in asdict(event).items() if value is not UNSET})
    return encode_json_block(str(name), data)
