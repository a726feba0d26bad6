"""A queue's line as one worker sees it: stand by, take the lease, hold, and begin again."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from functools import partial
from uuid import uuid4

from tailrace.events import EarlyError, RefusedError
from tailrace.queue import DeposedError, Grant
from tailrace.worker._retry import TROUBLES, before
from tailrace.worker.pushes._pipeline import Hold, Line
from tailrace.worker.pushes._rebalance import Share

_STANDBY_S = 0.25
_OTHERS_FIRST_S = 1.0
"""How long a queue that was given up for another worker is left to it."""
_log = logging.getLogger(__name__)


async def serve(line: Line, stopping: asyncio.Event, share: Share) -> None:
    """Hold a queue whenever nobody else does, until it is time to stop."""
    worker, term, at_least = uuid4().hex[:12], 0, 0
    while not stopping.is_set():
        term += 1
        owner = f"{worker}/{term}"
        acquire = line.queue_patience.ask(partial(line.queue.acquire, owner, at_least))
        if grant := await before(stopping, acquire):
            await line.free.leave()
            _log.info("holding queue %d under epoch %d", line.queue.partition, grant.epoch)
            with share.holding(line.queue.partition) as leave:
                at_least = await _hold(line, grant, owner, leave)
            if leave.is_set():
                _log.info("gave up queue %d", line.queue.partition)
                await before(stopping, asyncio.sleep(_OTHERS_FIRST_S))
        else:
            await before(stopping, _stand_by(line))


async def _stand_by(line: Line) -> None:
    """Wait until the lease is given up, or may have run out."""
    try:
        await line.free.wait(_STANDBY_S)
    except TROUBLES:
        await asyncio.sleep(_STANDBY_S)


async def _hold(line: Line, grant: Grant, owner: str, leave: asyncio.Event) -> int:
    """Return the lowest epoch that will do for the next term."""
    at_least, give_up = 0, True
    try:
        await Hold(line, grant, owner).run(leave)
    except* DeposedError:
        _log.warning("queue %d has another holder: standing by", line.queue.partition)
    except* RefusedError as refusals:
        at_least = max(error.epoch for error in _each(refusals)) + 1
        _log.warning("a log is at epoch %d, not %d: standing by", at_least - 1, grant.epoch)
    except* EarlyError as errors:
        # One that comes too early though those before it were answered says that the log has lost them.
        _log.warning("a log has lost its last commits: beginning again (%s)", errors.exceptions[0])
    except* Exception:  # noqa: BLE001 - whatever it was may be a job's doing: the lease runs out, which the queue counts as a death of what was in hand.
        give_up = False
        _log.exception("queue %d: begin again when the lease has run out", line.queue.partition)
    await line.bell.leave()
    if give_up:
        with contextlib.suppress(*TROUBLES):
            await asyncio.wait_for(line.queue.release(grant.epoch), line.lease_s)
    return at_least


def _each(group: BaseExceptionGroup[RefusedError]) -> Iterator[RefusedError]:
    for error in group.exceptions:
        if isinstance(error, RefusedError):
            yield error
        elif isinstance(error, BaseExceptionGroup):
            yield from _each(error)
