"""The logs in Redis: append and commit, tail and replay, and the registry of who listens."""

from tailrace.log._check import (
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
from tailrace.log._connect import connect, connect_queue, connect_reader, disconnect
from tailrace.log._connection import lacks_files
from tailrace.log._follow import Follower
from tailrace.log._history import DEFAULT_HISTORY, HistoryPolicy, HistoryRule
from tailrace.log._pipe import Pipe
from tailrace.log._read import Answer, ChannelHistory, Generations, LogReader, RawEntry, Wanted, follow, whole_entries
from tailrace.log._refusal import Refusal, Remedy, refusal, trouble
from tailrace.log._registry import AWAY, AWAY_S, LEASE_S, Registry, Standing
from tailrace.log._scripts import Scripts
from tailrace.log._servers import redact
from tailrace.log._write import (
    STATE_S,
    Appended,
    EarlyError,
    LogLimits,
    LogWriter,
    NewEvent,
    RefusedError,
    outcome_field,
    read_outcome,
)

__all__ = [
    "AWAY",
    "AWAY_S",
    "DEFAULT_HISTORY",
    "LEASE_S",
    "MAX_SHARDS",
    "OLDEST_REDIS",
    "OLDEST_VALKEY",
    "STATE_S",
    "Answer",
    "Appended",
    "ChannelHistory",
    "EarlyError",
    "Follower",
    "Generations",
    "HistoryPolicy",
    "HistoryRule",
    "LogLimits",
    "LogReader",
    "LogWriter",
    "NewEvent",
    "Pipe",
    "RawEntry",
    "Refusal",
    "RefusedError",
    "Registry",
    "Remedy",
    "Scripts",
    "Standing",
    "Wanted",
    "check_layout",
    "check_redis",
    "check_server",
    "connect",
    "connect_queue",
    "connect_reader",
    "disconnect",
    "follow",
    "lacks_files",
    "outcome_field",
    "primaries",
    "read_outcome",
    "read_together",
    "redact",
    "refusal",
    "server_id",
    "trouble",
    "whole_entries",
]
