"""The lease on a queue: stand by, acquire it, run the pipeline, and begin again."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from functools import partial
from uuid import uuid4

from tailrace.events import EarlyError, RefusedError
from tailrace.queue import DeposedError, Grant
from tailrace.worker._retry import REDIS_ERRORS, unless_stopped
from tailrace.worker.pushes._pipeline import Hold, Line
from tailrace.worker.pushes._rebalance import Rebalancer

_STANDBY_S = 0.25
_OTHERS_FIRST_S = 1.0
"""How long a worker leaves a queue alone that it has released for another worker."""
_log = logging.getLogger(__name__)


async def serve(line: Line, stopping: asyncio.Event, share: Rebalancer) -> None:
    """Hold a queue whenever no other worker does, until `stopping` is set."""
    worker, term, at_least = uuid4().hex[:12], 0, 0
    while not stopping.is_set():
        term += 1
        owner = f"{worker}/{term}"
        acquire = line.queue_retrier.run(partial(line.queue.acquire, owner, at_least))
        if grant := await unless_stopped(stopping, acquire):
            await line.free.leave()
            _log.info(
                "holding queue %d under epoch %d",
                line.queue.partition,
                grant.epoch,
                extra={"partition": line.queue.partition, "epoch": grant.epoch},
            )
            with share.holding(line.queue.partition) as leave:
                at_least = await _hold(line, grant, owner, leave)
            if leave.is_set():
                _log.info("gave up queue %d", line.queue.partition, extra={"partition": line.queue.partition})
                await unless_stopped(stopping, asyncio.sleep(_OTHERS_FIRST_S))
        else:
            await unless_stopped(stopping, _stand_by(line))


async def _stand_by(line: Line) -> None:
    """Wait until the lease is released, or may have expired."""
    try:
        await line.free.wait(_STANDBY_S)
    except REDIS_ERRORS:
        await asyncio.sleep(_STANDBY_S)


async def _hold(line: Line, grant: Grant, owner: str, leave: asyncio.Event) -> int:
    """Run the pipeline, and return the lowest epoch that will do for the next term."""
    at_least, give_up = 0, True
    try:
        await Hold(line, grant, owner).run(leave)
    except* DeposedError:
        _log.warning("queue %d has another holder: standing by", line.queue.partition, extra={"partition": line.queue.partition})
    except* RefusedError as refusals:
        at_least = max(error.epoch for error in _each(refusals)) + 1
        _log.warning(
            "a shard serves epoch %d, not %d: standing by",
            at_least - 1,
            grant.epoch,
            extra={"partition": line.queue.partition, "epoch": at_least - 1},
        )
    except* EarlyError as errors:
        # A commit that is early, though all before it were answered, means that the shard has lost those.
        _log.warning("a shard has lost its last commits; restarting: %s", errors.exceptions[0], extra={"partition": line.queue.partition})
    except* Exception:  # noqa: BLE001 - a job may have caused it: the lease expires, which counts as a death of the jobs in flight
        give_up = False
        _log.exception(
            "queue %d failed; restarting when the lease has expired", line.queue.partition, extra={"partition": line.queue.partition}
        )
    await line.bell.leave()
    if give_up:
        with contextlib.suppress(*REDIS_ERRORS):
            await asyncio.wait_for(line.queue.release(grant.epoch), line.lease_s)
    return at_least


def _each(group: BaseExceptionGroup[RefusedError]) -> Iterator[RefusedError]:
    for error in group.exceptions:
        if isinstance(error, RefusedError):
            yield error
        elif isinstance(error, BaseExceptionGroup):
            yield from _each(error)
