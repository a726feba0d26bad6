"""Claims calls that are due, runs them beside the ordered pipeline of pushes, and ends each exactly once."""

import asyncio
import contextlib
import logging
from functools import partial
from typing import Any, NamedTuple

from tailrace.queue import Back, CallQueue, Claimed, Found, Room, Settlement
from tailrace.queue._claims import Ended
from tailrace.worker._bell import Bell
from tailrace.worker._retry import TROUBLES, Patience, heed_cancel
from tailrace.worker.calls._arq_settings import Application, Hooks
from tailrace.worker.calls._outcome import Call, Unfit, bury, missing, read_call
from tailrace.worker.calls._runner import Runner, Running, Why
from tailrace.worker.calls._schedule import Clock
from tailrace.worker.calls._watchdog import Keep, Watch

_ABORTS_EVERY_S, _ANNOUNCE_EVERY_S = 0.3, 5.0
_SHORTEST_S = 0.001  # BLPOP waits for ever at 0
_CLAIM_S, _CANCEL_S = 1.0, 2.0
_IDLE_S, _ROOM_S = 1.0, 0.5
_log = logging.getLogger(__name__)


class Settler:
    """Tells the queue how calls ended; those that end while a request is under way go together in the next."""

    def __init__(self, queue: CallQueue, patience: Patience) -> None:
        self._queue, self._patience = queue, patience
        self._waiting: list[tuple[Running, Settlement]] = []
        self._any = asyncio.Event()
        self._number = 0
        self.ended, self.dead, self.retried = 0, 0, 0

    def put(self, running: Running, settlement: Settlement) -> asyncio.Future[bool]:
        """Queue a settlement; the future says whether the claim held."""
        self._waiting.append((running, settlement))
        self._any.set()
        return running.settled

    async def end(self, running: Running, settlement: Settlement) -> bool:
        """Settle a call that has run or can't run; return False if another worker has it."""
        match settlement:
            case Ended(reason="") if running.aborted:
                self.dead += 1  # as arq counts
            case Ended(reason=""):
                self.ended += 1
            case Ended(reason=reason, path=path):
                self.dead += 1
                _log.warning("dead letter: %s: %s (at `%s`)", running, reason, path, extra=running.fields(self._queue.key))
            case _:
                self.retried += 1
        return await self.put(running, settlement)

    async def run(self) -> None:
        """Send settlements, batching those that arrive during a request."""
        while True:
            await self._any.wait()
            self._any.clear()
            some, self._waiting = self._waiting, []
            self._number += 1
            sent = [(running.claimed, settlement) for running, settlement in some]
            held = await self._patience.ask(partial(self._queue.settle, self._number, sent))
            for (running, _), each in zip(some, held, strict=True):
                if not running.settled.done():
                    running.settled.set_result(each)


class CallTerms(NamedTuple):
    """How calls are claimed and run."""

    patience: Patience
    bell: Bell
    keep: Keep
    at_once: int = 10
    poll_s: float = 0.02
    lease_s: float = 10.0
    drain_s: float = 10.0
    function_wait_s: float = 60.0
    """How long a call waits for a worker with its function."""


class Calls:
    """All calls that one worker runs."""

    def __init__(self, application: Application, queue: CallQueue, runner: Runner, clock: Clock, terms: CallTerms) -> None:
        self._application, self._functions = application, application.functions
        self._queue, self._runner, self._clock, self._terms, self._patience = queue, runner, clock, terms, terms.patience
        self._running: set[Running] = set()
        self._settler = Settler(queue, terms.patience)
        self._watch = Watch(self._running, terms.keep, terms.lease_s / 4)
        self._threads, self._freed = runner.threads, runner.threads.freed
        self._stuck = False
        self._number, self._awake_until = 0, 0.0
        self._alone_first = True

    @property
    def queue_key(self) -> str:
        return self._queue.key

    @property
    def counts(self) -> str:
        """Say in arq's words how many calls ended how."""
        settled = self._settler
        return f"j_complete={settled.ended} j_failed={settled.dead} j_retried={settled.retried} j_ongoing={len(self._running)}"

    async def serve(self, stopping: asyncio.Event) -> None:
        """Run calls until `stopping` is set. Running calls then get `drain_s` to end; the rest are given back."""
        self._awake_until = self._sure_until()
        with self._watch.on():
            await self._serve(stopping)

    async def _serve(self, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            helpers = [
                tasks.create_task(each) for each in (self._keep(), self._settler.run(), self._announce(), self._clock.run(), self._abort())
            ]
            feed = tasks.create_task(self._feed(stopping, tasks))
            await stopping.wait()
            self._freed.set()
            await asyncio.wait([feed], timeout=_CLAIM_S)  # cancelled during a claim, its calls would count as a worker's death
            feed.cancel()
            await self._terms.bell.leave()
            await self._drain()
            for helper in helpers:
                helper.cancel()

    # Claim.

    async def _feed(self, stopping: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
        while not stopping.is_set():
            room = self._room()
            self._note_stuck()
            if room.calls <= 0:
                self._freed.clear()
                await self._freed.wait()
                continue
            found, sure_until = await self._claim(room)
            for each in found.claims:
                self._running.add(running := Running(each, sure_until))
                tasks.create_task(self._handle(running))
                self._alone_first = not each.alone  # by turns
            if found.make_room:
                await self._make_room()
            elif not found.claims:
                await self._listen(found.idle_s)

    def _room(self) -> Room:
        alone = any(each.claimed.alone for each in self._running)
        calls = 0 if alone else self._terms.at_once - len(self._running) - self._threads.abandoned
        return Room(calls, not self._running, self._alone_first, self._application.terms.allow_abort_jobs)

    def _note_stuck(self) -> None:
        """Log when threads that nobody waits for take up all places, and when one of them has ended."""
        stuck = self._threads.abandoned >= self._terms.at_once
        if stuck and not self._stuck:
            message = "%d threads of calls that timed out or were aborted are still running; this worker takes no calls until one ends"
            _log.error(message, self._threads.abandoned, extra={"queue": self._queue.key})
        elif self._stuck and not stuck:
            _log.info("threads of calls have ended; this worker takes calls again", extra={"queue": self._queue.key})
        self._stuck = stuck

    async def _make_room(self) -> None:
        """Wait until a call here has ended; meanwhile another worker may have taken the call that must run alone."""
        self._freed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._freed.wait(), _ROOM_S)

    def _sure_until(self) -> float:
        """Return until when a claim made or renewed now is certain to hold, whatever the delay of the answer."""
        return asyncio.get_running_loop().time() + self._terms.lease_s / 2

    async def _claim(self, room: Room) -> tuple[Found, float]:
        """Claim calls, and return until when the claims are certain to hold."""
        self._number += 1
        return await self._patience.ask(partial(self._claim_awake, self._number, room))

    async def _claim_awake(self, number: int, room: Room) -> tuple[Found, float]:
        """Claim calls. After a pause or an outage of Redis, renew first: this worker's own calls might look like a dead worker's."""
        if asyncio.get_running_loop().time() > self._awake_until:
            await self._renew()
        sure_until = self._sure_until()  # before the request: this process may be paused until the answer arrives
        return await self._queue.claim(number, room, self._functions), sure_until

    async def _listen(self, idle_s: float | None) -> None:
        """Wait for the bell, at most until the next call is due or the next poll for calls that rang no bell."""
        if not self._functions:  # there is nothing to run here, and the bell is meant for others
            await asyncio.sleep(_IDLE_S)
            return
        pause = self._terms.poll_s if idle_s is None else min(self._terms.poll_s, max(idle_s, _SHORTEST_S))
        try:
            await self._terms.bell.wait(pause)
        except TROUBLES:
            heed_cancel()
            await asyncio.sleep(pause)

    # Run.

    async def _handle(self, running: Running) -> None:
        try:
            await self._read_and_run(running)
        except Exception as error:  # noqa: BLE001 - nobody has thought of it; it is this call's, and no other's
            _log.exception("%s can't be handled", running, extra=running.fields(self._queue.key))
            await self._settler.end(running, bury(running.claimed, Unfit(f"it can't be handled: {type(error).__name__}")))
        finally:
            running.cancel(Why.STOPPING)
            self._running.discard(running)
            self._freed.set()

    async def _read_and_run(self, running: Running) -> None:
        found = await self._read(running.claimed)
        if found:
            running.function = found.asked.function
        if isinstance(found, Unfit):
            await self._settler.end(running, self._runner.refuse(running.claimed, found))
        elif found:
            await self._run(running, found)

    async def _read(self, claimed: Claimed) -> Call | Unfit | None:
        """Read a call; None if it was left to workers that have its function."""
        found = read_call(claimed, self._functions)
        if isinstance(found, Call):
            return self._runner.exhausted(found, claimed) or found
        if isinstance(found, Unfit):
            return found
        wait_ms = round(self._terms.function_wait_s * 1000)
        left = await self._patience.ask(partial(self._queue.defer, claimed, found.asked.function, wait_ms))
        return None if left else missing(*found)

    async def _run(self, running: Running, call: Call) -> None:
        hooks = Hooks() if running.claimed.aborted else self._application.hooks  # arq runs no hooks for a call that never starts
        running.work = work = self._runner.start(call, running.claimed, partial(self._holds, running))
        if running.claimed.aborted:
            work.cancel(Why.ABORTED)
        ends: list[asyncio.Future[Any]] = [work.task, running.settled]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not work.task.done():  # it ignored its cancellation and was given back
            return
        await self._runner.hook(hooks.on_job_end, work.ctx)
        settlement = self._runner.settlement(work)
        if settlement is None or not await self._settler.end(running, settlement):
            _log.warning("%s: claim expired; another worker has it", running, extra=running.fields(self._queue.key))
        else:
            await self._runner.hook(hooks.after_job_end, work.ctx)

    async def _holds(self, running: Running) -> bool:
        if asyncio.get_running_loop().time() < running.sure_until:
            return True
        (held,) = await self._patience.ask(partial(self._queue.keep, [running.claimed]))
        return held

    # Background tasks.

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._terms.lease_s / 4)
            await self._patience.ask(self._renew)

    async def _renew(self) -> None:
        running, sure_until = list(self._running), self._sure_until()
        answers = await self._queue.keep([each.claimed for each in running])
        self._awake_until = sure_until
        for each, held in zip(running, answers, strict=True):
            if held:
                each.sure_until = sure_until
            else:
                each.cancel(Why.LOST)

    async def _announce(self) -> None:
        while True:
            await self._patience.ask(partial(self._queue.announce, self._functions))
            await asyncio.sleep(_ANNOUNCE_EVERY_S)

    async def _abort(self) -> None:
        while self._application.terms.allow_abort_jobs:
            await asyncio.sleep(_ABORTS_EVERY_S)
            if running := list(self._running):
                named = await self._patience.ask(partial(self._queue.to_abort, [each.claimed for each in running]))
                for each in running:
                    if each.claimed.id in named:
                        each.cancel(Why.ABORTED)

    async def _drain(self) -> None:
        """Give running calls time to end; give the rest back."""
        await self._until_ended(self._terms.drain_s)
        for each in self._running:
            each.cancel(Why.STOPPING)
        await self._until_ended(_CANCEL_S)
        left = [each for each in self._running if not each.settled.done()]
        back = asyncio.gather(*[self._settler.put(each, self._runner.stopped(each.work) if each.work else Back()) for each in left])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(back, _CANCEL_S)

    async def _until_ended(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._running:
                    self._freed.clear()
                    await self._freed.wait()
