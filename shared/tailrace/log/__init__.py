"""The logs in Redis: append and commit, tail and replay, and the registry of who listens."""

from tailrace.log._refusal import Refusal, Remedy, refusal, trouble

__all__ = ["Refusal", "Remedy", "refusal", "trouble"]
