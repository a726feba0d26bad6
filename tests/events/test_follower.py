"""Following logs on a connection taken over from redis-py, under both loops that an edge may have."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError, RedisError, ResponseError, TimeoutError as RedisTimeoutError

from tailrace.events import Follower, LogWriter, NewEvent, RawEntry
from tailrace.redis import connect, connect_reader, disconnect
from tailrace.wire import Keys, encode_json_block, parse_id
from tests.support.cluster import Cluster
from tests.support.redis import RedisServer, executable
from tests.support.tls import tls_server
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
KEYS = Keys()
BLOCK = encode_json_block("message", b"1")
Followed = Mapping[int, Sequence[RawEntry]]


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


class Following:
    """Follows shards, and keeps what comes."""

    def __init__(self, redis: Redis, shards: Sequence[int] = (0,), and_then: Callable[[], Awaitable[None]] | None = None) -> None:
        self.redis, self.ids = redis, dict[int, list[int]]({shard: [] for shard in shards})
        self.answers = 0
        self.tasks: list[asyncio.Task[None] | None] = []
        """The current ones, as answers came."""
        self._and_then = and_then
        follower = Follower(redis, KEYS, shards, block_s=0.1, most=100)
        self.task = asyncio.create_task(follower.run(dict.fromkeys(shards, 0), self._handle))

    async def _handle(self, answer: Followed) -> dict[int, int]:
        self.answers += 1
        self.tasks.append(asyncio.current_task())
        for shard, entries in answer.items():
            self.ids[shard] += [parse_id(entry_id) for entry_id, _ in entries]
        if answer and self._and_then:
            await self._and_then()
            self.tasks.append(asyncio.current_task())
        return {shard: max([0, *ids]) for shard, ids in self.ids.items()}

    async def has(self, ids: Sequence[int], shard: int = 0) -> None:
        await wait_until(lambda: self.ids[shard] == list(ids))

    async def ends_with(self, error: type[RedisError], timeout_s: float = 5) -> None:
        with pytest.raises(error):
            await asyncio.wait_for(self.task, timeout_s)


@asynccontextmanager
async def following(
    url: str, shards: Sequence[int] = (0,), and_then: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[Following]:
    async with connect_reader(url, block_s=0.1) as redis:
        follows = Following(redis, shards, and_then)
        try:
            yield follows
        finally:
            follows.task.cancel()
            await asyncio.wait([follows.task])


async def append(url: str, *, times: int = 1, shard: int = 0, block: bytes = BLOCK) -> list[int]:
    async with connect(url) as redis:
        appended = await LogWriter(redis, KEYS, shard).append([NewEvent(str(number), "a", block) for number in range(times)])
    return [each.id for each in appended]


async def test_answers_come_without_a_task_and_the_next_question_follows(any_redis_url: str) -> None:
    async with following(any_redis_url, (0, 1)) as follows:
        first, second = await append(any_redis_url), await append(any_redis_url, shard=1)
        await follows.has(first)
        await follows.has(second, shard=1)
        await follows.has(first + await append(any_redis_url, times=3))
        answers = follows.answers
        await wait_until(lambda: follows.answers > answers + 1)  # one where there is nothing, too
        assert set(follows.tasks) == {None}


async def test_what_waits_goes_on_in_the_task_that_follows(redis_url: str) -> None:
    async def wait() -> None:
        async with asyncio.timeout(5), connect(redis_url) as redis:  # both want a task
            await redis.ping()

    async def begin() -> None:
        await asyncio.sleep(0)
        await wait()

    async with following(redis_url, and_then=begin) as follows:
        sent = await append(redis_url)
        await follows.has(sent)
        await follows.has(sent + await append(redis_url))
        assert set(follows.tasks) == {None, follows.task}


async def test_an_answer_that_comes_in_parts_is_whole(redis_url: str) -> None:
    async with following(redis_url) as follows:
        large = encode_json_block("message", b'"%b"' % (b"x" * 900_000))
        await follows.has(await append(redis_url, times=5, block=large))


async def test_a_lost_connection_is_redis_trouble(redis_url: str) -> None:
    async with following(redis_url) as follows, connect(redis_url) as redis:
        await wait_until(lambda: follows.answers)
        await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]
        await follows.ends_with(RedisConnectionError)


async def test_a_client_that_is_disconnected_follows_no_more(redis_url: str) -> None:
    """Both sides hear of the end: redis-py, which waits for it, and the follower."""
    async with following(redis_url) as follows:
        await wait_until(lambda: follows.answers)
        async with asyncio.timeout(1):
            await disconnect(follows.redis)
        await follows.ends_with(RedisConnectionError, timeout_s=1)


async def test_what_has_begun_is_brought_to_its_end_before_a_loss_is_told(redis_url: str) -> None:
    go_on, done = asyncio.Event(), list[bool]()

    async def wait() -> None:
        await go_on.wait()
        done.append(True)

    async with following(redis_url, and_then=wait) as follows:
        await follows.has(await append(redis_url))
        await disconnect(follows.redis)
        assert not follows.task.done()
        go_on.set()
        await follows.ends_with(RedisConnectionError)
        assert done


async def test_a_cancellation_reaches_what_waits(redis_url: str) -> None:
    ended = list[bool]()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with following(redis_url, and_then=wait) as follows:
        await follows.has(await append(redis_url))
    assert follows.task.cancelled()
    assert ended


@pytest.mark.parametrize("waits", [False, True])
async def test_what_fails_is_raised_where_it_is_followed(redis_url: str, waits: bool) -> None:
    async def fail() -> None:
        if waits:
            await asyncio.sleep(0)
        raise LookupError

    async with following(redis_url, and_then=fail) as follows:
        await append(redis_url)
        with pytest.raises(LookupError):
            await follows.task


async def test_what_redis_refuses_is_raised(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        await redis.set(KEYS.log(0), "no stream")
    async with following(redis_url) as follows:
        await follows.ends_with(ResponseError)


async def test_a_redis_that_is_silent_is_noticed(redis_server: RedisServer) -> None:
    async with following(redis_server.url) as follows:
        await wait_until(lambda: follows.answers)
        os.kill(redis_server.pid, signal.SIGSTOP)
        try:
            await follows.ends_with(RedisTimeoutError)
        finally:
            os.kill(redis_server.pid, signal.SIGCONT)


async def test_a_shard_that_moves_is_followed() -> None:
    with Cluster() as cluster:
        async with following(cluster.url) as follows:
            sent = await append(cluster.url)
            await follows.has(sent)
            await asyncio.to_thread(cluster.migrate_at_once, KEYS.log(0))
            await follows.has(sent + await append(cluster.url))
            assert not follows.task.done()


async def test_over_a_unix_socket(redis_server: RedisServer) -> None:
    path = redis_server.data_dir / "s"
    redis_server._command = [*redis_server._command, "--unixsocket", str(path)]
    redis_server.stop()
    redis_server.start()
    async with following(f"unix://{path}") as follows:
        await follows.has(await append(redis_server.url))


@pytest.mark.skipif(not executable("redis"), reason="needs Debian's redis-server: Valkey's wheel has no TLS")
async def test_over_tls(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (server, url):
        async with following(url) as follows:
            sent = await append(url)
            await follows.has(sent)
            large = encode_json_block("message", b'"%b"' % (b"x" * 900_000))
            await follows.has(sent + await append(server.url, times=3, block=large))
            await disconnect(follows.redis)
            await follows.ends_with(RedisConnectionError)


@pytest.mark.skipif(not executable("redis"), reason="needs Debian's redis-server: Valkey's wheel has no TLS")
async def test_over_tls_a_silent_server_is_left_at_once(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (server, url):
        async with following(url) as follows:
            await follows.has(await append(url))
            os.kill(server.pid, signal.SIGSTOP)
            async with asyncio.timeout(1):
                await disconnect(follows.redis)
                await follows.ends_with(RedisConnectionError)
