"""The logs in Redis: append and commit, tail and replay, and the registry of who listens."""

from tailrace.log._connect import MAX_SHARDS, OLDEST_REDIS, OLDEST_VALKEY, check_layout, check_redis, connect, connect_reader, redact
from tailrace.log._history import DEFAULT_HISTORY, HistoryPolicy, HistoryRule
from tailrace.log._read import Answer, ChannelHistory, Generations, LogReader, RawEntry, follow, whole_entries
from tailrace.log._registry import AWAY, AWAY_S, LEASE_S, Registry
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
    "Generations",
    "HistoryPolicy",
    "HistoryRule",
    "LogLimits",
    "LogReader",
    "LogWriter",
    "NewEvent",
    "RawEntry",
    "RefusedError",
    "Registry",
    "check_layout",
    "check_redis",
    "connect",
    "connect_reader",
    "follow",
    "outcome_field",
    "read_outcome",
    "redact",
    "whole_entries",
]
