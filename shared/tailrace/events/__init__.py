"""The logs in Redis: append and commit, tail and replay, and who listens."""

from tailrace.events._follower import Follower
from tailrace.events._reader import Answer, ChannelHistory, Generations, LogReader, RawEntry, Wanted, follow, whole_entries
from tailrace.events._registry import AWAY, AWAY_S, LEASE_S, Registry, Standing
from tailrace.events._retention import DEFAULT_HISTORY, HistoryPolicy, HistoryRule
from tailrace.events._writer import STATE_S, Appended, EarlyError, LogLimits, LogWriter, NewEvent, RefusedError, outcome_field, read_outcome

__all__ = [
    "AWAY",
    "AWAY_S",
    "DEFAULT_HISTORY",
    "LEASE_S",
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
    "RawEntry",
    "RefusedError",
    "Registry",
    "Standing",
    "Wanted",
    "follow",
    "outcome_field",
    "read_outcome",
    "whole_entries",
]
