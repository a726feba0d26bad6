"""Hostile jobs between good ones: what is valid is delivered, the rest are dead letters, and the worker doesn't grow."""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from random import Random

from redis.asyncio import Redis

from tailrace.redis import connect
from tailrace.wire import JOB_PREFIX, Keys
from tests.prove.frame import PATIENCE_S, Count, Plan, Trial
from tests.prove.hostile import CHANNELS, Made, hostile, valid
from tests.prove.ingest_load import recording
from tests.prove.ingest_pair import judge
from tests.prove.steps import Say, steps
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until

_HOSTILE = 0.1
_AT_ONCE = 500
_KEYS = Keys()
_FLAGS = ("--dead-letters", "1000000", "--dead-bytes", str(1 << 34), "--function-wait-s", "0")
_WARM, _GROWTH_MB = 0.3, 8.0
"""From which part of the jobs on memory has to stay, and by how much it may differ all the same."""


class Jobs:
    """Enqueues valid and hostile jobs, and knows what has to become of each."""

    def __init__(self, redis: Redis, dice: Random) -> None:
        self._redis, self._dice = redis, dice
        self.valid = 0
        self.hostile: dict[bytes, Made] = {}

    async def put(self, count: int) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for _ in range(count):
            number = self.valid + len(self.hostile)
            name = f"{number:09}".encode()
            if self._dice.random() < _HOSTILE:
                made = self.hostile[name] = hostile(number, self._dice)
            else:
                made = Made(valid(self.valid))
                self.valid += 1
            key = f"{JOB_PREFIX}{name.decode()}"
            if made.payload is not None:
                pipe.set(key, made.payload, px=3_600_000)
            elif not made.typed:
                pipe.rpush(key, "a list")
            pipe.zadd(_KEYS.queue(), {name: 1_700_000_000_000 + number})
        await pipe.execute()


async def _run(plan: Plan, say: Say) -> None:
    with RedisServer() as server, Service("worker", "--redis", server.url, "--log-level", "error", *_FLAGS) as worker:
        async with connect(server.url, timeout_s=PATIENCE_S) as redis, recording(server.url) as recorder:
            jobs, memory = Jobs(redis, plan.dice()), list[float]()
            for done in range(0, plan.amount, _AT_ONCE):
                await jobs.put(min(_AT_ONCE, plan.amount - done))
                await wait_until(partial(_nothing_left, redis), PATIENCE_S)
                memory.append(rss_mb(worker.pid))
                say(Count(done=min(_AT_ONCE, plan.amount - done)))
            letters = await _letters(redis)
            certain = sum(made.certain for made in jobs.hostile.values())
            await recorder.until(plan.amount - len(letters))
            say(_delivered(jobs, recorder.seen))
            accepted = recorder.others == len(jobs.hostile) - len(letters) <= len(jobs.hostile) - certain
            grown = max(memory[int(len(memory) * _WARM) :]) - memory[int(len(memory) * _WARM)]
            wrong = _wrong_letters(jobs, letters) + (not accepted) + (grown > _GROWTH_MB) + (worker.returncode is not None)
            say(Count(other=wrong, figures=_figures(jobs, letters, memory)))


def _delivered(jobs: Jobs, seen: dict[str, list[int]]) -> Count:
    expected = [range((jobs.valid - first + CHANNELS - 1) // CHANNELS) for first in range(CHANNELS)]
    return sum([judge(numbers, seen[f"room:{channel}"]) for channel, numbers in enumerate(expected)], Count())


async def _nothing_left(redis: Redis) -> bool:
    return not await redis.exists(_KEYS.queue(), _KEYS.hand(), _KEYS.calls())


async def _letters(redis: Redis) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in await redis.xrange(_KEYS.dead())]


def _wrong_letters(jobs: Jobs, letters: Iterable[dict[bytes, bytes]]) -> int:
    """Count what is wrong with dead letters: missing, twice, of a valid job, without a reason, or not as the job came."""
    times = Counter(letter[b"job"] for letter in letters)
    missing = [name for name, made in jobs.hostile.items() if made.certain and name not in times]
    strange = [name for name, count in times.items() if count > 1 or name not in jobs.hostile]
    known = [letter for letter in letters if letter[b"job"] in jobs.hostile]
    changed = [each for each in known if not each[b"reason"] or each[b"payload"] != (jobs.hostile[each[b"job"]].payload or b"")]
    for name in missing[:5]:
        print(f"no dead letter of {jobs.hostile[name]}"[:400])
    return len(missing) + len(strange) + len(changed)


def _figures(jobs: Jobs, letters: list[dict[bytes, bytes]], memory: list[float]) -> dict[str, float | str]:
    return {
        "hostile jobs": len(jobs.hostile),
        "dead letters": len(letters),
        "reasons": len({letter[b"reason"] for letter in letters}),
        f"worker's RSS at {_WARM:.0%}, MB": memory[int(len(memory) * _WARM)],
        "worker's RSS at the end, MB": memory[-1],
    }


def rss_mb(pid: int) -> float:
    """Return the memory that a process has resident."""
    text = Path(f"/proc/{pid}/status").read_text()
    return round(int(text.partition("VmRSS:")[2].split()[0]) / 1024, 1)


TRIALS = (
    Trial(
        name="hostile",
        does="a job, each tenth hostile: wrong types, truncated, pickled, deep, lone surrogates, huge numbers, changed bytes; what is "
        "valid is delivered in order, the rest are dead letters with a reason and the job as it came, the worker's memory is flat",
        unit="jobs",
        full=100_000,
        few=2000,
        minutes=2,
        run=lambda plan: steps(partial(_run, plan)),
        looks_for=("lost", "doubled", "reordered", "other"),
    ),
)
