"""Clients of Redis: of one server, of a Cluster, or of the primary that Sentinels know."""

import re
import socket
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tailrace.redis._cluster import ClusterRedis
from tailrace.redis._connection import make_finding, make_sound
from tailrace.redis._sentinel import finder
from tailrace.redis._urls import Address, Servers, bad_url, read_url
from tailrace.wire import SetupError

_KEEPALIVE = {
    getattr(socket, name): value for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)) if hasattr(socket, name)
}
_DATABASE = re.compile(r"(/\d*)?")
_SENTINEL_S = 1.0
_MARGIN_S = 2.0
"""How long after the time that it may block a reader's answer is waited for."""


def connect(url: str, *, timeout_s: float | None = 5, connections: int = 50) -> Redis:
    """Make a client whose commands answer bytes; nothing is sent yet.

    `timeout_s` bounds each command; a connection that blocks longer on purpose needs a longer one. On a Cluster each
    command goes to the node that has its first key, and there are no pipelines.
    Raises SetupError: the URL can't be read.
    """
    servers = read_url(url)
    if servers is None:
        return _client(url, timeout_s, connections)
    try:
        return _connect(servers, timeout_s, connections)
    except SetupError:  # of a URL that was made of this one
        raise bad_url(url) from None


def connect_queue(url: str, *, timeout_s: float | None = 5, connections: int = 50) -> Redis:
    """Make a client of a queue's Redis, as `connect` does.

    Raises SetupError: the URL can't be read, or names a Cluster, which arq knows nothing of.
    """
    servers = read_url(url)
    if servers is not None and servers.kind == "cluster":
        raise SetupError("a queue can't be on a Cluster: name the URL of one Redis, or of its Sentinels, for it (--queue-redis)")
    return connect(url, timeout_s=timeout_s, connections=connections)


def connect_reader(url: str, *, block_s: float) -> Redis:
    """Make a client of one connection for `follow`. Raises SetupError: the URL can't be read."""
    return connect(url, timeout_s=block_s + _MARGIN_S, connections=1)


async def disconnect(redis: Redis) -> None:
    """Close a client's connections, those in use too; what comes next connects anew."""
    if isinstance(redis, ClusterRedis):
        await redis.disconnect()
    else:
        await redis.connection_pool.disconnect()


def _connect(servers: Servers, timeout_s: float | None, connections: int) -> Redis:
    if servers.kind == "cluster":
        return ClusterRedis(servers.addresses, lambda address: _client(servers.url(address), timeout_s, connections))
    redis = _client(servers.url(servers.addresses[0]), timeout_s, connections)
    clients = [partial(_sentinel, servers, address) for address in servers.addresses]
    make_finding(redis.connection_pool, finder(servers.service, clients))
    return redis


def _sentinel(servers: Servers, address: Address) -> Redis:
    return _client(servers.sentinel_url(address), _SENTINEL_S, 1, connect_s=_SENTINEL_S)


def _client(url: str, timeout_s: float | None, connections: int, connect_s: float = 5) -> Redis:
    # Protocol 2 has one form of each answer on all versions of redis-py; 8 speaks 3 by itself, where a stream's entries come as a map.
    options: dict[str, Any] = {"socket_timeout": timeout_s, "max_connections": connections, "health_check_interval": 0, "protocol": 2}
    options["retry"] = Retry(NoBackoff(), 0)  # who asks knows what may be asked twice
    if not url.startswith("unix"):
        options |= {"socket_connect_timeout": connect_s, "socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
    if url.startswith("rediss"):  # redis-py verifies no names before version 6; what the URL says wins over both
        options["ssl_check_hostname"] = "ssl_cert_reqs=none" not in url
    if not url.startswith("unix") and not _DATABASE.fullmatch(urlsplit(url).path):
        raise bad_url(url)  # redis-py would take database 0 for one that is no number
    try:
        redis: Redis = Redis.from_url(url, **options)
    except ValueError:
        raise bad_url(url) from None
    make_sound(redis.connection_pool)
    return redis
