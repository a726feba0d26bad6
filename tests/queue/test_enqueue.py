"""The scripts by themselves, on both servers."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tailrace.queue import script
from tests.docs.enqueue import PUBLISHED

WEEK_MS = 7 * 86_400_000


class Enqueue:
    """Calls the script as a producer in any language would."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._script = redis.register_script(PUBLISHED.read_text(encoding="utf-8"))

    async def __call__(
        self, number: int, *jobs: tuple[str, str], most: int = 0, which: int = 1, queues: tuple[str, ...] = ("q",)
    ) -> list[bytes]:
        keys = ["p", *[name for queue in queues for name in (queue, f"{queue}:line", f"{queue}:bell")]]
        args = [part for job_id, due in jobs for part in (which, job_id, "payload", due)]
        answer: list[bytes] = await self._script(keys=keys, args=[number, 60_000, WEEK_MS, most, *args])
        return answer

    async def scores(self) -> dict[bytes, float]:
        return dict(await self.redis.zrange("q", 0, -1, withscores=True))

    async def last(self) -> bytes | None:
        answer: bytes | None = await self.redis.execute_command("HGET", "q:line", "last")  # type: ignore[no-untyped-call]
        return answer

    async def now_ms(self) -> int:
        seconds, micros = await self.redis.time()
        return int(seconds) * 1000 + int(micros) // 1000


@pytest.fixture
async def enqueue(any_redis_url: str) -> AsyncIterator[Enqueue]:
    async with Redis.from_url(any_redis_url) as redis:
        yield Enqueue(redis)


@pytest.mark.anyio
async def test_scores_rise_strictly_and_start_at_the_clock(enqueue: Enqueue) -> None:
    before = await enqueue.now_ms()
    for number in range(1, 4):
        await enqueue(number, *[(f"{number}:{index}", "") for index in range(100)])
    scores = await enqueue.scores()
    expected = [f"{number}:{index}".encode() for number in range(1, 4) for index in range(100)]
    assert list(scores) == expected
    assert len(set(scores.values())) == 300
    assert before <= min(scores.values()) <= max(scores.values()) <= await enqueue.now_ms() + 1
    assert float(await enqueue.last() or 0) == max(scores.values())


@pytest.mark.anyio
async def test_scores_rise_also_when_the_clock_steps_back(enqueue: Enqueue) -> None:
    ahead = await enqueue.now_ms() + 60_000
    await enqueue.redis.execute_command("HSET", "q:line", "last", ahead)  # type: ignore[no-untyped-call]
    await enqueue(1, ("a", ""), ("b", ""))
    assert await enqueue.scores() == {b"a": ahead + 1 / 1024, b"b": ahead + 2 / 1024}


@pytest.mark.anyio
async def test_scheduled_jobs_do_not_move_the_last_score(enqueue: Enqueue) -> None:
    await enqueue(1, ("late", "+60000"), ("later", "4102444800000"))
    assert await enqueue.last() is None
    scores = await enqueue.scores()
    assert scores[b"later"] == 4102444800000
    assert scores[b"late"] == pytest.approx(await enqueue.now_ms() + 60_000, abs=5_000)
    assert await enqueue.redis.pttl("arq:job:late") == pytest.approx(WEEK_MS + 60_000, abs=5_000)


@pytest.mark.anyio
async def test_a_number_runs_once(enqueue: Enqueue) -> None:
    assert await enqueue(1, ("a", "")) == [b"done", b""]
    first = await enqueue.scores()
    assert await enqueue(1, ("a", "")) == [b"done", b""]
    await enqueue.redis.delete("arq:job:a")
    await enqueue.redis.delete("q")
    assert await enqueue(1, ("a", "")) == [b"done", b""]  # appended meanwhile: it doesn't come again
    assert first
    assert await enqueue.scores() == {}
    await enqueue(2, ("a", ""))  # the twin: repeated under another number it does
    assert len(await enqueue.scores()) == 1


@pytest.mark.anyio
async def test_a_stray_repeat_of_an_older_number_does_nothing(enqueue: Enqueue) -> None:
    await enqueue(1, ("a", ""))
    await enqueue(2, ("b", ""))
    await enqueue(1, ("c", ""))
    assert list(await enqueue.scores()) == [b"a", b"b"]


@pytest.mark.anyio
async def test_an_id_that_is_taken_is_left_alone_and_a_repeat_says_so_too(enqueue: Enqueue) -> None:
    await enqueue(1, ("a", ""))
    await enqueue.redis.set("arq:job:a", "theirs", keepttl=True)
    for _ in range(2):
        assert await enqueue(2, ("b", ""), ("a", ""), ("c", ""), ("a", "")) == [b"done", b"1 3"]
    assert await enqueue.redis.get("arq:job:a") == b"theirs"
    assert len(await enqueue.scores()) == 3


@pytest.mark.anyio
async def test_a_queue_that_is_full_takes_nothing_of_a_call(enqueue: Enqueue) -> None:
    await enqueue(1, ("a", ""), most=2)
    assert await enqueue(2, ("b", ""), ("c", ""), most=2) == [b"full", b"q"]
    assert list(await enqueue.scores()) == [b"a"]
    assert await enqueue(3, ("b", ""), most=2) == [b"done", b""]


@pytest.mark.anyio
async def test_the_bell_rings_once(enqueue: Enqueue) -> None:
    await enqueue(1, ("a", ""))
    await enqueue(2, ("b", ""))
    assert await enqueue.redis.execute_command("LRANGE", "q:bell", 0, -1) == [b"1"]  # type: ignore[no-untyped-call]
    assert 0 < await enqueue.redis.pttl("q:bell") <= 60_000


@pytest.mark.anyio
async def test_several_queues_in_one_call(enqueue: Enqueue) -> None:
    await enqueue(1, ("a", ""), which=2, queues=("q", "other"))
    assert await enqueue.redis.zcard("other") == 1
    assert await enqueue.redis.exists("q", "q:line", "q:bell") == 0


@pytest.mark.anyio
async def test_every_key_but_queue_and_line_has_a_ttl(enqueue: Enqueue) -> None:
    await enqueue(1, ("a", ""))
    without = {key for key in await enqueue.redis.keys() if await enqueue.redis.pttl(key) == -1}
    assert without == {b"q", b"q:line"}


def test_the_published_script_is_the_one_that_pushers_run() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == script("enqueue"), "run: python -m tests.docs.enqueue"
