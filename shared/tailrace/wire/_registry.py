"""The registry: which clients are connected, on which edge, in which channels."""

from base64 import urlsafe_b64encode
from hashlib import blake2b

import msgspec

from tailrace.wire._channels import CLIENT_PREFIX

EDGE_FORMAT = 1
"""What an edge of this version understands, as its part of the registry says: 1 ignores what later versions add to an entry.

Raise it with each addition that an edge must not ignore, so that writers can wait until all edges have it.
"""
_PLAIN = 20
"""Names of up to this many characters stand for themselves."""
_OWN = len(CLIENT_PREFIX) + 36
_HASH_BYTES = 12


class ClientEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One client, as its edge registers it. Fields of later versions are ignored."""

    since: int
    """When it connected, in Unix milliseconds."""
    channels: list[str]
    """Its channels, its own included, as `registered_name` writes them."""
    connections: int = 1
    """More than one where several connections share the client's id; they count once."""
    listed: bool = True
    """False if the registry has no room for its channels: `channels` then has only `all` and its own."""


class ClientInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One client, as the registry shows it."""

    client: str
    edge: str
    since: int
    channels: list[str]
    """As `registered_name` writes them."""
    listed: bool = True
    """False if it is in more channels than the registry has room for."""


_entry = msgspec.json.Decoder(ClientEntry)


def registered_name(channel: str) -> str:
    """Return the name that the registry has for a channel: the channel's own, or `#` and 16 characters of a hash for a long one.

    Subscribers choose channel names, so a long one must not cost more than a short one. The hash has 96 bits: finding two names
    with one hash takes some 2**48 tries, and only the recipients of these two would be counted together. A client's own channel
    always keeps its name. The name of a name is itself.
    """
    size = len(channel)
    if size <= _PLAIN or (size == _OWN and channel.startswith(CLIENT_PREFIX)):
        return channel
    return "#" + urlsafe_b64encode(blake2b(channel.encode(), digest_size=_HASH_BYTES).digest()).decode()


def encode_client(entry: ClientEntry) -> bytes:
    """Write a client's entry."""
    return msgspec.json.encode(entry)


def decode_client(text: bytes) -> ClientEntry:
    """Read a client's entry. Raises msgspec.DecodeError."""
    return _entry.decode(text)
