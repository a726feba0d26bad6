"""Waiting for receipts without polling: one subscription, and a look at what is kept whenever something may have been missed."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tailrace.redis import refusal, trouble
from tailrace.wire import JobReceipt, Keys, decode_receipt

_log = logging.getLogger(__name__)
_AGAIN_S = 0.2


class _Waiter(NamedTuple):
    done: "asyncio.Future[JobReceipt | None]"
    chosen: bool
    """An earlier job may have had the id."""


class Receipts:
    """Hears of the ends of one producer's jobs."""

    def __init__(self, redis: Redis, subscriber: Redis, keys: Keys, listener: str) -> None:
        """`subscriber` is a client without a time limit on commands."""
        self._redis, self._subscriber, self._keys = redis, subscriber, keys
        self._channel = keys.receipts(listener)
        self._waiting: dict[str, list[_Waiter]] = {}
        self._heard = self._released = self._closed = self._refused = False
        self._task: asyncio.Task[None] | None = None

    async def wait(self, job: str, wait_s: float, *, chosen: bool = False) -> JobReceipt | None:
        """Return a job's receipt as soon as there is one, or None after `wait_s` seconds; `job` is its public id."""
        job = self._keys.public_id(job)
        if self._released:
            return None
        self.listen()
        waiter = _Waiter(asyncio.get_running_loop().create_future(), chosen)
        self._waiting.setdefault(job, []).append(waiter)
        try:
            async with asyncio.timeout(wait_s):
                if self._heard:  # else the subscription looks as soon as it stands
                    with suppress(RedisError):
                        await self._look([job])
                return await waiter.done
        except TimeoutError:
            return await self._last_look(job)
        finally:
            self._waiting[job].remove(waiter)
            if not self._waiting[job]:
                del self._waiting[job]

    async def _last_look(self, job: str) -> JobReceipt | None:
        """For a wait of 0 s, or where the subscription is away and Redis is not."""
        with suppress(RedisError, msgspec.DecodeError):
            for text in await self._kept([job]):
                return self._public(decode_receipt(text))
        return None

    async def _kept(self, jobs: Iterable[str]) -> list[bytes]:
        """Read the receipts that Redis keeps of some jobs, whichever form of their ids these are stored under."""
        names = [self._keys.receipt(each) for job in jobs for each in dict.fromkeys((self._keys.stored_id(job), job))]
        return [text for text in await self._redis.mget(names) if text] if names else []

    def _public(self, receipt: JobReceipt) -> JobReceipt:
        job = self._keys.public_id(receipt.job)
        return receipt if job == receipt.job else msgspec.structs.replace(receipt, job=job)

    def listen(self) -> None:
        """Begin to listen, if that hasn't begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen())

    def release(self) -> None:
        """Let all who wait go, now and from now on."""
        self._released = True
        for done in [waiter.done for waiting in self._waiting.values() for waiter in waiting]:
            if not done.done():
                done.set_result(None)

    async def close(self) -> None:
        """Stop listening, and let all who wait go."""
        self.release()
        self._closed = True
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        while True:
            try:
                async with self._subscriber.pubsub() as subscription:
                    await subscription.subscribe(self._channel)
                    async for message in subscription.listen():
                        await self._hear(message)
                        if self._closed:  # on Python 3.11 a timeout inside redis-py can swallow our cancelling
                            return
            except (RedisError, OSError) as error:
                self._note(error)
            self._heard = False
            await asyncio.sleep(_AGAIN_S)

    def _note(self, error: Exception) -> None:
        """Warn once of a Redis that refuses the subscription (an ACL without the channel): each receipt takes its whole wait then."""
        refused = refusal(error) is not None
        level = logging.WARNING if refused and not self._refused else logging.DEBUG
        _log.log(level, "can't subscribe to receipts: %s", trouble(error))
        self._refused = refused

    async def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":  # also when redis-py made a new connection by itself
            self._heard = True  # before the look: who begins to wait from now on looks by itself
            await self._look(list(self._waiting))
        elif message["type"] == "message":
            job = self._settle(message["data"], announced=True)
            if any(waiter.chosen for waiter in self._waiting.get(job, ())):
                await self._look([job])  # the announcement may be an earlier job's; what Redis keeps is this one's

    async def _look(self, jobs: Iterable[str]) -> None:
        for text in await self._kept(jobs):
            self._settle(text)

    def _settle(self, text: bytes, *, announced: bool = False) -> str:
        """Give a receipt to those who wait for it, and return its job."""
        try:
            receipt = self._public(decode_receipt(text))
        except msgspec.DecodeError as error:
            _log.warning("a receipt can't be read: %s", error)
            return ""
        for waiter in self._waiting.get(receipt.job, ()):
            if not waiter.done.done() and not (announced and waiter.chosen):
                waiter.done.set_result(receipt)
        return receipt.job
