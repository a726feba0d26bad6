"""Channel names: what one subscribes to, and the shard or partition that each belongs to."""

import re
from zlib import crc32

from tailrace.wire._errors import ChannelError

ALL = "all"
"""The channel that every connection is in."""
CHANNEL_PATTERN = r"^[A-Za-z0-9._~:-]{1,128}$"
CHANNEL_RULE = "1 to 128 characters of A-Z a-z 0-9 . _ ~ : - are allowed"
MAX_PARTITIONS = 64
"""The most partitions that a queue can have."""
CLIENT_PREFIX, USER_PREFIX = "client:", "user:"
_valid = re.compile(CHANNEL_PATTERN[1:-1]).fullmatch


def client_channel(client_id: str) -> str:
    """Name the channel of one connection."""
    return CLIENT_PREFIX + client_id


def check_channel(name: str) -> str:
    """Return the name if a channel can have it.

    Raises ChannelError: the name is empty, too long or has a character outside `[A-Za-z0-9._~:-]`.
    """
    if not _valid(name):
        message = f"bad channel name {name[:140]!r}: {CHANNEL_RULE}"
        raise ChannelError(message)
    return name


def bucket(channel: str, buckets: int) -> int:
    """Choose a channel's shard of the log, or its partition of the queue: CRC-32 of the name modulo their number."""
    return crc32(channel.encode()) % buckets if buckets > 1 else 0
