"""Dead letters in Redis: read in pages, put back into their queue, or deleted. The worker writes them."""

import re
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from tailrace.queue._scripts import script
from tailrace.wire import JOB_PREFIX, JobError, Keys, decode_job

_PAGE = 200
_KEEP_S = 7 * 86_400


class DeadLetter(NamedTuple):
    """A job that won't be tried again."""

    id: str
    """The letter's own, `<Unix ms>-<number>`."""
    job: str
    reason: str
    path: str
    """The field that is wrong, if it is one."""
    queue: str
    """Key of the queue that it came from."""
    payload: bytes
    """The job as it came; empty if that was lost."""
    traceback: str = ""

    @property
    def dead_ms(self) -> int:
        return int(self.id.partition("-")[0])

    @property
    def function(self) -> str:
        """Name of the function that was asked for, or nothing if the job can't be read."""
        try:
            return decode_job(self.payload).f
        except JobError:
            return ""


class Filter(NamedTuple):
    """Which letters are meant; what is empty says nothing."""

    reason: str = ""
    """Text that the reason holds, in any case."""
    function: str = ""
    channel: str = ""
    """Where one of the job's pushes goes."""
    since_ms: int = 0

    def fits(self, letter: DeadLetter) -> bool:
        return (
            letter.dead_ms >= self.since_ms
            and self.reason.lower() in letter.reason.lower()
            and (not self.function or self.function == letter.function)
            and (not self.channel or self.channel in _channels(letter.payload))
        )


class Page(NamedTuple):
    """Some letters, and how many were looked at up to them."""

    letters: list[DeadLetter]
    looked_at: int


class DeadLetters:
    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys
        self._redrive = redis.register_script(script("redrive"))

    async def count(self) -> int:
        return int(await self._redis.xlen(self._keys.dead()))

    async def pages(self, wanted: Filter, ids: Sequence[str] = ()) -> AsyncIterator[Page]:
        """Give letters, oldest first: of some ids or else of all that are there now, those that are wanted."""
        looked_at = 0
        async for letters in self._named(ids) if ids else self._all(wanted.since_ms):
            looked_at += len(letters)
            yield Page([letter for letter in letters if wanted.fits(letter)], looked_at)

    async def redrive(self, letters: Sequence[DeadLetter]) -> list[str]:
        """Put letters' jobs back into their queues. Returns for each nothing, or the reason why it stays where it is."""
        obstacles = [self._obstacle(letter) for letter in letters]
        pipe = self._redis.pipeline(transaction=False)
        for letter, obstacle in zip(letters, obstacles, strict=True):
            if not obstacle:
                keys = [
                    self._keys.dead(),
                    letter.queue,
                    JOB_PREFIX + letter.job,
                    self._keys.receipt(letter.job),
                    _bell(self._keys, letter.queue),
                ]
                await self._redrive(keys=keys, args=[letter.id, letter.job, letter.payload, _KEEP_S * 1000], client=pipe)
        answers = iter(await pipe.execute())
        return [obstacle or next(answers).decode() for obstacle in obstacles]

    async def delete(self, letters: Sequence[DeadLetter]) -> int:
        """Delete letters and say how many there were."""
        return int(await self._redis.xdel(self._keys.dead(), *[letter.id for letter in letters])) if letters else 0

    def public_id(self, letter: DeadLetter) -> str:
        """Return the id by which producers know a letter's job."""
        return self._keys.public_id(letter.job)

    def _obstacle(self, letter: DeadLetter) -> str:
        if not letter.payload:
            return "its payload was lost"
        if not self._is_ours(letter.queue):  # anyone who can write letters could have any key written to
            return f"{letter.queue!r} is no queue of this tailrace"
        return ""

    def _is_ours(self, queue: str) -> bool:
        return queue == self._keys.calls() or re.fullmatch(f"{re.escape(self._keys.queue())}(:[1-9][0-9]?)?", queue) is not None

    async def _named(self, ids: Sequence[str]) -> AsyncIterator[list[DeadLetter]]:
        for each in ids:
            yield [_letter(*entry) for entry in await self._redis.xrange(self._keys.dead(), each, each)]

    async def _all(self, since_ms: int) -> AsyncIterator[list[DeadLetter]]:
        """Give all letters that are there now: what is put back may soon be a new one."""
        newest = await self._redis.xrevrange(self._keys.dead(), count=1)
        start, end = str(since_ms), newest[0][0].decode() if newest else "-"
        while page := await self._redis.xrange(self._keys.dead(), start, end, count=_PAGE):
            yield [_letter(*entry) for entry in page]
            start = f"({page[-1][0].decode()}"


def _bell(keys: Keys, queue: str) -> str:
    """Give the bell of a queue by its key."""
    if queue == keys.calls():
        return keys.calls_bell()
    partition = queue.removeprefix(keys.queue()).removeprefix(":")
    return keys.bell(int(partition) if partition.isdecimal() else 0)


def _letter(entry_id: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    text = {name: fields.get(name.encode(), b"").decode(errors="replace") for name in ("job", "reason", "path", "queue", "traceback")}
    return DeadLetter(id=entry_id.decode(), payload=fields.get(b"payload", b""), **text)


def _channels(payload: bytes) -> set[str]:
    """List the channels of a job's pushes, as far as they can be made out."""
    try:
        (argument,) = msgspec.json.decode(decode_job(payload).a)
    except (JobError, msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, TypeError):
        return set()
    pushes = argument if isinstance(argument, list) else [argument]
    return {push["to"] for push in pushes if isinstance(push, dict) and isinstance(push.get("to"), str)}
