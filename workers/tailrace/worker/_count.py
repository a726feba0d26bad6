"""Who is there: asks the registry about any number of channels."""

from collections.abc import Sequence
from functools import partial

from tailrace.events import Registry
from tailrace.worker._retry import Patience

_AT_ONCE = 1000  # a script's arguments are limited by Lua's stack


async def count(registry: Registry, patience: Patience, channels: Sequence[str]) -> dict[str, int]:
    """Count who is in each channel; AWAY for the own channel of a client that left a moment ago."""
    there: dict[str, int] = {}
    for start in range(0, len(channels), _AT_ONCE):
        some = channels[start : start + _AT_ONCE]
        there.update(zip(some, await patience.ask(partial(registry.recipients, some)), strict=True))
    return there
