"""What has to be true of Redis before anything starts."""

import logging
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from tailrace.redis._cluster import ClusterRedis
from tailrace.wire import Keys, SetupError

_log = logging.getLogger(__name__)
OLDEST_REDIS, OLDEST_VALKEY = (7, 0), (8, 0)
MAX_SHARDS = 8


async def primaries(redis: Redis) -> list[Redis]:
    """Return a client for each server that holds data: of a Cluster all primaries. Raises redis.RedisError."""
    return await redis.primaries() if isinstance(redis, ClusterRedis) else [redis]


async def check_redis(redis: Redis) -> None:
    """See that this Redis can carry tailrace.

    A user that may not run INFO can't see that; this is logged once.

    Raises SetupError: it is too old, its `maxmemory-policy` evicts keys, or it is one node of a Cluster.
    """
    for server in await primaries(redis):
        try:
            info = await server.info()
        except NoPermissionError:
            _log.warning("the Redis user may not run INFO: neither the version nor maxmemory-policy is checked")
            return
        _check(info, alone=server is redis)


async def check_server(redis: Redis, key: str) -> None:
    """See the same of the server that has a key, whatever is with others. Raises SetupError, redis.RedisError."""
    if isinstance(redis, ClusterRedis):
        _check(await redis.at(key.encode(), lambda server: server.info()), alone=False)
    else:
        _check(await redis.info(), alone=True)


def _check(info: Mapping[str, Any], *, alone: bool) -> None:
    if alone and info.get("cluster_enabled"):
        raise SetupError(
            "this Redis is a node of a Cluster: logs on it have a URL that begins with redis+cluster://, queues can't be there"
        )
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

    A user that may not write it waits for another process to do so.

    Raises SetupError: Redis says another number. Raises redis.NoPermissionError: there is none, and this user may not write it.
    """
    if not 1 <= shards <= MAX_SHARDS:
        message = f"`shards` is {shards}; 1 to {MAX_SHARDS} are possible"
        raise SetupError(message)
    here = await redis.get(keys.layout())  # a Redis that is full refuses even a SET that would change nothing
    if here is None:
        try:
            here = await redis.set(keys.layout(), shards, nx=True, get=True)
        except NoPermissionError:
            raise NoPermissionError(f"only a worker may write {keys.layout()}, and none has yet: start one") from None
    if here is not None and int(here) != shards:
        message = f"`shards` is {shards} here and {int(here)} in Redis ({keys.layout()}): all processes need the same"
        raise SetupError(message)


async def server_id(redis: Redis, key: str) -> str:
    """Return what names the process of the server that has a key; it is another one after a restart. Raises redis.RedisError."""
    info = await (redis.at(key.encode(), _about) if isinstance(redis, ClusterRedis) else _about(redis))
    return str(info.get("run_id", ""))


async def _about(server: Redis) -> dict[str, Any]:
    return dict(await server.info("server"))


def read_together(redis: Redis, shards: int) -> list[range]:
    """Return the shards that one connection can follow: all, but for a Cluster, where no command spans two slots."""
    return [range(shard, shard + 1) for shard in range(shards)] if isinstance(redis, ClusterRedis) else [range(shards)]
