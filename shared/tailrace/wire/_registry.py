"""The registry: which clients are connected, on which edge, in which channels."""

import msgspec

EDGE_FORMAT = 1
"""What an edge of this version understands, as its part of the registry says: 1 ignores what later versions add to an entry.

Raise it with each addition that an edge must not ignore, so that writers can wait until all edges have it.
"""


class ClientEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One client, as its edge notes it. Fields of later versions are ignored."""

    since: int
    """When it came, in Unix milliseconds."""
    channels: list[str]
    """All that it is in, its own included."""
    connections: int = 1
    """More than one where two connections share the client's id; they count once."""


class ClientInfo(msgspec.Struct, frozen=True):
    """One client, as the registry shows it."""

    client: str
    edge: str
    since: int
    channels: list[str]


_entry = msgspec.json.Decoder(ClientEntry)


def encode_client(entry: ClientEntry) -> bytes:
    """Write a client's entry."""
    return msgspec.json.encode(entry)


def decode_client(text: bytes) -> ClientEntry:
    """Read a client's entry. Raises msgspec.DecodeError."""
    return _entry.decode(text)
