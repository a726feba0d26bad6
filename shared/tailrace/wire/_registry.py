"""The registry: which clients are connected, on which edge, in which channels."""

import msgspec


class ClientEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One client, as its edge notes it."""

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
