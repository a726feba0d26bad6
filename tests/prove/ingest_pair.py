"""Two workers on a queue of their own, a producer, and what the logs hold: a place to stop one of them at a chosen byte."""

import asyncio
import itertools
import os
import random
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import msgspec

from tailrace.push import Batch, Push, Pusher
from tailrace.redis import connect
from tailrace.wire import Entry, JobState, Keys, bucket, decode_entry, format_id
from tests.prove.emitting import Told
from tests.prove.frame import PATIENCE_S, Count
from tests.prove.site import restart
from tests.prove.without import Unprotected, without
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.trap import Call, Snare, Trap
from tests.support.wait import wait_until

SHARDS, CHANNELS = 2, 6
_LEASES = ("--lease-s", "1", "--call-lease-s", "2")
_SETTLED_S = 60.0


class Data(msgspec.Struct):
    n: int


class Servers(NamedTuple):
    queue: RedisServer
    logs: RedisServer


class Pair:
    """Two workers, of which one holds the queue."""

    def __init__(self, servers: Servers, prefix: str, protection: str = "") -> None:
        """Without a protection, where one is named."""
        self._servers, self.keys, self._without = servers, Keys(prefix), protection
        with without(protection):
            self.trap = Trap()
        self._names, self._called = list(_channels("room")), list(_channels("called"))
        self._numbers = itertools.count()
        self._expected: dict[str, list[int]] = defaultdict(list)
        self._batches: list[tuple[Batch, Sequence[int]]] = []
        self._jobs: dict[bytes, Sequence[int]] = {}
        self._ids: dict[int, str] = {}
        self._read = ["-"] * SHARDS
        self.again: asyncio.Future[list[None]] = asyncio.gather()
        """The new start of what a fault has killed."""

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator["Pair"]:
        """Start all that belongs to the pair."""
        async with AsyncExitStack() as stack:
            self._queue, self._logs = [connect(server.url, timeout_s=PATIENCE_S) for server in (self._servers.queue, self._servers.logs)]
            stack.push_async_callback(self._queue.aclose)
            stack.push_async_callback(self._logs.aclose)
            self._pusher = await stack.enter_async_context(Pusher(self._servers.queue.url, prefix=self.keys.prefix, timeout_s=PATIENCE_S))
            self.workers = []
            for number in range(2):
                logs = await stack.enter_async_context(self.trap.door(number, self._servers.logs.port))
                queue = await stack.enter_async_context(self.trap.door(number, self._servers.queue.port))
                flags = ["--prefix", self.keys.prefix, "--shards", str(SHARDS), *_LEASES, *arguments]
                worker = Unprotected(self._without, "--redis", logs, "--queue-redis", queue, *flags)
                await asyncio.to_thread(worker.start)
                stack.callback(worker.__exit__)
                self.workers.append(worker)
            yield self

    def spring(self, snare: Snare, fault: str, chance: random.Random) -> "asyncio.Future[Call]":
        """Let a fault happen where the snare says; what it kills is started again at once."""
        caught: asyncio.Future[Call] = asyncio.get_running_loop().create_future()

        def act(call: Call) -> None:
            if fault == "cut":
                self.trap.cut()
            elif fault == "stop":
                self.signal(call.worker, signal.SIGSTOP)
            else:
                self.again = _killed([self.workers[call.worker]] if fault == "kill" else self._victims(chance))
            caught.set_result(call)

        self.trap.arm(snare._replace(act=act))
        return caught

    def signal(self, worker: int, number: signal.Signals) -> None:
        os.kill(self.workers[worker].pid, number)

    def _victims(self, chance: random.Random) -> list[RedisServer]:
        """Choose the queue's server, the logs', or both."""
        servers = list(dict.fromkeys(self._servers))
        return chance.sample(servers, chance.randint(1, len(servers)))

    async def push(self, count: int) -> None:
        """Push one after another."""
        for number in itertools.islice(self._numbers, count):
            await self._enqueue([number], many=False)

    async def push_many(self, count: int) -> None:
        """Push in one array."""
        await self._enqueue(list(itertools.islice(self._numbers, count)), many=True)

    async def call(self, count: int) -> None:
        """Have a function emit so many events."""
        numbers = list(itertools.islice(self._numbers, count))
        for number in numbers:
            self._expected[self._called[number % CHANNELS]].append(number)
        job = await self._pusher.call("tell", Told(self._called, numbers[0], count), receipt=False)
        self._jobs[self.keys.stored_id(job.id).encode()] = numbers

    async def _enqueue(self, numbers: Sequence[int], *, many: bool) -> None:
        asks = random.Random(numbers[0]).random() < 0.5
        pushes = [Push(to=self._channel(number), data=Data(number), stamp=False) for number in numbers]
        for number in numbers:
            self._expected[self._channel(number)].append(number)
        if many:
            batch = await self._pusher.push_many(pushes, receipt=asks)
        else:
            job = await self._pusher.push(pushes[0].to, pushes[0].data, stamp=False, receipt=asks)
            batch = Batch([job], [(0, 0)])
        self._jobs |= {self.keys.stored_id(job.id).encode(): numbers for job in batch.jobs}
        if asks:
            self._batches.append((batch, numbers))

    def _channel(self, number: int) -> str:
        return self._names[number % CHANNELS]

    async def settled(self) -> None:
        """Wait until nothing is queued or in hand."""

        async def empty() -> bool:
            return not await self._queue.exists(self.keys.queue(), self.keys.hand(), self.keys.calls())

        await wait_until(empty, _SETTLED_S)

    async def check(self) -> Count:
        """Hold what the logs have, and what receipts say, against what was pushed since the last time."""
        seen: dict[str, list[int]] = defaultdict(list)
        for shard in range(SHARDS):
            found = await self._logs.xrange(self.keys.log(shard), min=self._read[shard])
            for entry_id, fields in found:
                entry = decode_entry(entry_id, [part for pair in fields.items() for part in pair])
                number = number_of(entry)
                seen[entry.channel].append(number)
                self._ids[number] = format_id(entry.id)
                self._read[shard] = f"({format_id(entry.id)}"
        letters = await self._letters()
        kept = {number for job in letters for number in self._jobs.get(job, ())} - self._ids.keys()
        expected = {channel: [number for number in numbers if number not in kept] for channel, numbers in self._expected.items()}
        count = sum([judge(numbers, seen[channel]) for channel, numbers in expected.items()], Count())
        wrong = [numbers for batch, numbers in self._batches if not await self._told(batch, numbers)]
        for memory in (self._expected, self._batches, self._jobs, self._ids):
            memory.clear()
        return count + Count(other=len(wrong) + len(letters))

    async def _letters(self) -> list[bytes]:
        """Give the jobs that are dead letters, and say why: what these hold isn't lost, but none of them should be one."""
        letters = [fields for _, fields in await self._queue.xrange(self.keys.dead())]
        await self._queue.delete(self.keys.dead())
        for letter in letters:
            print(f"a dead letter of {len(self._jobs.get(letter[b'job'], ()))} events: {letter[b'reason'].decode()}", file=sys.stderr)
        return [letter[b"job"] for letter in letters]

    async def _told(self, batch: Batch, numbers: Sequence[int]) -> bool:
        """Say whether receipts name the entries that are in the log."""
        ends = [await job.receipt(PATIENCE_S) for job in batch.jobs]
        if not all(end and end.state is JobState.APPENDED for end in ends):
            return False
        return [made.id for made in await batch.receipts(PATIENCE_S) or ()] == [self._ids.get(number) for number in numbers]


def _killed(parts: Sequence[Service | RedisServer]) -> "asyncio.Future[list[None]]":
    """Kill parts at this very moment; give their new start."""
    for part in parts:
        os.kill(part.pid, signal.SIGKILL)
    return asyncio.gather(*[restart(part) for part in parts])


def number_of(entry: Entry) -> int:
    """Return the number that an event carries."""
    return msgspec.json.decode(entry.block.partition(b"\ndata: ")[2], type=Data).n


def judge(expected: Sequence[int], seen: Sequence[int]) -> Count:
    """Count what is missing, what came again, and what came after a later one; the numbers of a channel rise."""
    first = list(dict.fromkeys(seen))
    strange = len(set(first) - set(expected))
    return Count(
        lost=len(set(expected) - set(first)),
        doubled=len(seen) - len(first),
        reordered=sum(second < number for number, second in itertools.pairwise(first)),
        other=strange,
    )


def _channels(kind: str) -> Iterator[str]:
    """Name channels that lie on the shards by turns."""
    free = [[name for name in map(f"{kind}:{{}}".format, range(100)) if bucket(name, SHARDS) == shard] for shard in range(SHARDS)]
    for number in range(CHANNELS):
        yield free[number % SHARDS][number // SHARDS]
