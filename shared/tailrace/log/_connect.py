"""Connections to Redis, and what has to be true of it before anything starts."""

import re
import socket
from typing import Any

from redis.asyncio import Redis

from tailrace.log._connection import make_sound
from tailrace.wire import Keys, SetupError

OLDEST_REDIS, OLDEST_VALKEY = (7, 0), (8, 0)
MAX_SHARDS = 8
_FORM = "redis://[[user]:password@]host[:port][/db] is needed, with special characters of the password percent-encoded"
_SECRET = re.compile(r"(?<=://).*@")
_KEEPALIVE = {
    getattr(socket, name): value for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)) if hasattr(socket, name)
}


def connect(url: str, *, timeout_s: float | None = 5, connections: int = 50) -> Redis:
    """Make a client whose commands answer bytes; nothing is sent yet.

    `timeout_s` bounds each command; a connection that blocks longer on purpose needs a longer one.
    Raises SetupError: the URL can't be read.
    """
    # Protocol 2 has one form of each answer on all versions of redis-py; 8 speaks 3 by itself, where a stream's entries come as a map.
    options: dict[str, Any] = {"socket_timeout": timeout_s, "max_connections": connections, "health_check_interval": 0, "protocol": 2}
    if not url.startswith("unix"):
        options |= {"socket_connect_timeout": 5, "socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
    try:
        redis: Redis = Redis.from_url(url, **options)
    except ValueError:
        raise SetupError(f"bad Redis URL {redact(url)!r}: {_FORM}") from None
    make_sound(redis.connection_pool)
    return redis


def connect_reader(url: str, *, block_s: float) -> Redis:
    """Make a client of one connection for `follow`.

    Its answers are left as they come, which is twice as fast as redis-py's own form of them.
    Raises SetupError: the URL can't be read.
    """
    redis = connect(url, timeout_s=block_s + 3, connections=2)
    redis.set_response_callback("XREAD", _as_it_comes)
    return redis


def _as_it_comes(response: Any, **_: Any) -> Any:
    return response


def redact(url: str) -> str:
    """Return a URL that can be printed: without user and password, however badly they are written."""
    return _SECRET.sub("***@", url) if "@" in url else re.sub(r"(?<=://):.*", "***", url)


async def check_redis(redis: Redis) -> None:
    """See that this Redis can carry tailrace.

    Raises SetupError: it is too old, or its `maxmemory-policy` evicts keys.
    """
    info = await redis.info()
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    oldest = OLDEST_VALKEY if name == "Valkey" else OLDEST_REDIS
    if tuple(map(int, version.split(".")[:2])) < oldest:
        message = f"{name} {version} is too old: {'.'.join(map(str, oldest))} or later is needed"
        raise SetupError(message)
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        message = f"Redis' maxmemory-policy is {policy!r}, which deletes events silently: set it to 'noeviction'"
        raise SetupError(message)


async def check_layout(redis: Redis, keys: Keys, shards: int) -> None:
    """See that all processes agree on the number of shards; the first one writes it.

    Raises SetupError: Redis says another number.
    """
    if not 1 <= shards <= MAX_SHARDS:
        message = f"`shards` is {shards}; 1 to {MAX_SHARDS} are possible"
        raise SetupError(message)
    here = await redis.set(keys.layout(), shards, nx=True, get=True)
    if here is not None and int(here) != shards:
        message = f"`shards` is {shards} here and {int(here)} in Redis ({keys.layout()}): all processes need the same"
        raise SetupError(message)
