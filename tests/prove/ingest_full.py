"""Redis runs out of memory and back under load: what was accepted is appended, what was refused isn't, and nobody ends."""

import asyncio
from collections import Counter
from functools import partial

import httpx
from redis.asyncio import Redis

from tailrace.push import Pusher
from tailrace.redis import connect
from tests.prove.frame import PATIENCE_S, Count, Plan, Trial
from tests.prove.ingest_load import SteadyLoad, recording
from tests.prove.ingest_pair import judge
from tests.prove.steps import Say, steps
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until

_CLIENTS, _PAUSE_S, _AGAIN_S = 10, 0.02, 0.05
_MOVES, _REFUSED = 50, 20
_LITTLE = 100_000


class HttpLoad:
    """Clients of ingest: each pushes 0, 1, 2, ... to its channel, and repeats what is refused."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/push"
        self.accepted = {f"room:http:{number}": 0 for number in range(_CLIENTS)}
        self.answers = Counter[int]()
        self.wrong = 0
        """Answers that are neither a yes nor a 503 that says when to come again."""
        self._stop = False

    @property
    def total(self) -> int:
        return sum(self.accepted.values())

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=PATIENCE_S, headers={"Prefer": "respond-async"}) as http, asyncio.TaskGroup() as tasks:
            for channel in self.accepted:
                tasks.create_task(self._client(http, channel))

    def stop(self) -> None:
        self._stop = True

    async def _client(self, http: httpx.AsyncClient, channel: str) -> None:
        while not self._stop:
            push = {"to": channel, "data": {"n": self.accepted[channel]}, "stamp": False}
            answer = await http.post(self._url, json=push)
            self.answers[answer.status_code] += 1
            if answer.status_code == httpx.codes.ACCEPTED:
                self.accepted[channel] += 1
                await asyncio.sleep(_PAUSE_S)
            else:
                self.wrong += answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or not answer.headers.get("retry-after")
                await asyncio.sleep(_AGAIN_S)


class Loads:
    """Both ways in at once."""

    def __init__(self, pusher: Pusher, url: str) -> None:
        self.pushed, self.posted = SteadyLoad(pusher, 20, 300), HttpLoad(url)

    def accepted(self) -> tuple[int, int]:
        return self.pushed.total, self.posted.total

    def refused(self) -> tuple[int, int]:
        return self.pushed.refused, self.posted.answers[httpx.codes.SERVICE_UNAVAILABLE]

    async def more(self, what: "partial[tuple[int, int]]", count: int) -> None:
        """Wait until both counts have grown by so much."""
        first, second = what()
        await wait_until(lambda: what()[0] >= first + count and what()[1] >= second + count, PATIENCE_S)


async def _run(plan: Plan, say: Say) -> None:
    with RedisServer() as server, Service("ingest", "--redis", server.url) as ingest:
        workers = [Service("worker", "--redis", server.url, "--log-level", "error") for _ in range(2)]
        with workers[0], workers[1]:
            async with (
                Pusher(server.url, timeout_s=PATIENCE_S) as pusher,
                connect(server.url, timeout_s=PATIENCE_S) as redis,
                recording(server.url) as recorder,
            ):
                loads = Loads(pusher, ingest.url)
                running = [asyncio.create_task(load.run()) for load in (loads.pushed, loads.posted)]
                for cycle in range(plan.amount):
                    await _fill_up(redis, loads, hard=cycle % 2 == 0)
                    say(Count(done=1))
                loads.pushed.stop()
                loads.posted.stop()
                await asyncio.gather(*running)
                await recorder.until(sum(loads.accepted()))
                ended = sum(process.returncode is not None for process in (ingest, *workers))
                posted = [judge(range(count), recorder.seen[channel]) for channel, count in loads.posted.accepted.items()]
                say(sum(posted, loads.pushed.judge(recorder.seen)) + Count(other=ended + loads.posted.wrong, figures=_figures(loads)))


async def _fill_up(redis: Redis, loads: Loads, *, hard: bool) -> None:
    """Let Redis be out of memory until both ways in have noticed, and then no longer."""
    await loads.more(partial(loads.accepted), _MOVES)
    used = int((await redis.info("memory"))["used_memory"])
    await redis.config_set("maxmemory", 1 if hard else used + _LITTLE)
    await loads.more(partial(loads.refused), _REFUSED)
    await redis.config_set("maxmemory", 0)


def _figures(loads: Loads) -> dict[str, float | str]:
    (pushed, posted), (kept_out, turned_away) = loads.accepted(), loads.refused()
    return {"accepted by Pusher": pushed, "accepted by ingest": posted, "refused by Pusher": kept_out, "503 by ingest": turned_away}


TRIALS = (
    Trial(
        name="out-of-memory",
        does="Redis is out of memory and back under load by Pusher and ingest: what was accepted is appended, what was refused isn't, each "
        "refusal is a 503 with Retry-After, no process ends",
        unit="cycles",
        full=50,
        few=2,
        minutes=3,
        run=lambda plan: steps(partial(_run, plan)),
        looks_for=("lost", "doubled", "reordered", "other"),
    ),
)
