"""Clients of Redis: one server, a Cluster, or the primary that Sentinels name; and what has to be true of a server."""

from tailrace.redis._check import (
    MAX_SHARDS,
    OLDEST_REDIS,
    OLDEST_VALKEY,
    check_layout,
    check_redis,
    check_server,
    primaries,
    read_together,
    server_id,
)
from tailrace.redis._cluster import ClusterRedis
from tailrace.redis._connect import connect, connect_queue, connect_reader, disconnect
from tailrace.redis._connection import lacks_files
from tailrace.redis._pipe import Pipe
from tailrace.redis._protocol import Dialogue
from tailrace.redis._refusal import Refusal, Remedy, refusal, trouble
from tailrace.redis._scripts import Scripts
from tailrace.redis._urls import redact

__all__ = [
    "MAX_SHARDS",
    "OLDEST_REDIS",
    "OLDEST_VALKEY",
    "ClusterRedis",
    "Dialogue",
    "Pipe",
    "Refusal",
    "Remedy",
    "Scripts",
    "check_layout",
    "check_redis",
    "check_server",
    "connect",
    "connect_queue",
    "connect_reader",
    "disconnect",
    "lacks_files",
    "primaries",
    "read_together",
    "redact",
    "refusal",
    "server_id",
    "trouble",
]
