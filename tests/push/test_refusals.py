"""Redis's error replies: each is named, says whether anything was enqueued, and isn't taken for a Redis that is away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tailrace.cli import main
from tailrace.push import (
    EnqueueError,
    Push,
    Pusher,
    QueueFullError,
    RedisAccessError,
    RedisBusyError,
    RedisReadOnlyError,
    RedisRefusedError,
)
from tailrace.wire import Keys
from tests.support.redis import KEPT, RedisServer
from tests.support.wait import wait_until

KEYS = Keys()
USER = "limited"


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with RedisServer("valkey", *KEPT, "--enable-protected-configs", "yes") as server:
        yield server


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as client:
        yield client


async def _fails(url: str, timeout_s: float = 2) -> EnqueueError:
    async with Pusher(url, timeout_s=timeout_s) as pusher:
        with pytest.raises(EnqueueError) as caught:
            await pusher.push("room:1", 1)
    return caught.value


async def _password(redis: Redis) -> None:
    await redis.config_set("requirepass", "right")


async def _disk(redis: Redis) -> None:
    await redis.config_set("dir", "/proc")
    await redis.config_set("save", "3600 1")
    await redis.set("changed", 1)
    await redis.bgsave()
    await wait_until(lambda: _is_unsaved(redis))


async def _is_unsaved(redis: Redis) -> bool:
    return bool((await redis.info("persistence"))["rdb_last_bgsave_status"] == "err")


async def _is_busy(redis: Redis) -> bool:
    try:
        await redis.ping()
    except ResponseError as error:
        return str(error).startswith("BUSY")
    return False


async def _replicas(redis: Redis) -> None:
    await redis.config_set("min-replicas-to-write", 1)


async def _replica(redis: Redis) -> None:
    await redis.replicaof("127.0.0.1", "1")


async def _memory(redis: Redis) -> None:
    await redis.config_set("maxmemory", 1)


async def _user(redis: Redis) -> None:
    await redis.execute_command("ACL", "SETUSER", USER, "on", ">right", "~tailrace:*", "&*", "+@all")  # type: ignore[no-untyped-call]


async def _nothing(_: Redis) -> None: ...


CASES: dict[str, tuple[Callable[[Redis], Awaitable[None]], str, type[EnqueueError], str]] = {
    "WRONGPASS": (_password, "redis://:wrong@{host}/0", RedisAccessError, "Redis rejects the user name or the password"),
    "NOAUTH": (_password, "redis://{host}/0", RedisAccessError, "Redis requires a password"),
    "NODB": (_nothing, "redis://{host}/99", RedisAccessError, "the Redis database doesn't exist"),
    "MISCONF": (_disk, "redis://{host}/0", RedisReadOnlyError, "Redis takes no writes: it can't save to disk"),
    "NOREPLICAS": (_replicas, "redis://{host}/0", RedisReadOnlyError, "Redis takes no writes: it has too few replicas"),
    "READONLY": (_replica, "redis://{host}/0", RedisReadOnlyError, "this Redis is a read-only replica"),
    "OOM": (_memory, "redis://{host}/0", QueueFullError, "Redis uses "),
}


@pytest.mark.anyio
@pytest.mark.parametrize("code", CASES)
async def test_a_refusal_is_named_and_nothing_was_enqueued(
    code: str, redis: Redis, redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    break_, url, kind, meaning = CASES[code]
    await break_(redis)
    url = url.format(host=f"127.0.0.1:{redis_server.port}")
    began = asyncio.get_running_loop().time()
    error = await _fails(url, 5 if kind is RedisAccessError or code == "MISCONF" else 2)
    assert asyncio.get_running_loop().time() - began < 4  # what doesn't pass without help isn't waited for
    assert type(error) is kind
    assert str(error).startswith(meaning)
    assert "nothing was enqueued" in error.public
    assert not error.uncertain
    assert "away" not in str(error)
    if isinstance(error, RedisRefusedError):
        assert error.code == code
    assert await asyncio.to_thread(main, ["push", "--redis", url, "--to", "all", "1"]) == 1
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith(f"not enqueued: {meaning}")
    assert await asyncio.to_thread(main, ["doctor", "--redis", url]) == 1
    said = capsys.readouterr().out
    assert "wrong" in said
    assert ("is a replica" if code == "READONLY" else "of maxmemory is used" if code == "OOM" else meaning) in said


@pytest.mark.anyio
async def test_a_missing_permission_within_the_script_is_named(
    redis: Redis, redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    await _user(redis)
    url = f"redis://{USER}:right@127.0.0.1:{redis_server.port}/0"
    error = await _fails(url)
    assert type(error) is RedisAccessError
    assert str(error).startswith("the Redis user lacks a permission")
    assert error.uncertain  # a command within the script was refused
    assert USER not in error.public
    assert await asyncio.to_thread(main, ["doctor", "--redis", url]) == 1
    assert "wrong    the Redis user may not run SET arq:job:doctor" in capsys.readouterr().out


@pytest.mark.anyio
async def test_a_redis_that_runs_a_script_is_busy_and_goes_on(
    redis: Redis, redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    await redis.config_set("busy-reply-threshold", 50)
    async with Redis.from_url(redis_server.url) as other, Pusher(redis_server.url, timeout_s=2) as pusher:
        endless = asyncio.create_task(other.eval("while true do end", 0))
        await asyncio.sleep(0)
        await wait_until(lambda: _is_busy(redis))
        with pytest.raises(RedisBusyError, match="busy running a script: nothing was enqueued") as caught:
            await pusher.push("room:1", 1)
        assert caught.value.code == "BUSY"
        assert await asyncio.to_thread(main, ["doctor", "--redis", redis_server.url]) == 1
        assert "Redis is busy running a script" in (shown := capsys.readouterr().out)
        assert "-> wait for the script, or end it with SCRIPT KILL" in shown
        await redis.script_kill()
        with pytest.raises(ResponseError):
            await endless
        await pusher.push("room:1", 2)


@pytest.mark.anyio
async def test_an_error_within_the_script_leaves_it_open_what_was_enqueued(redis: Redis, redis_server: RedisServer) -> None:
    await redis.set(KEYS.line(1), "overwritten")
    async with Pusher(redis_server.url, partitions=2) as pusher:
        with pytest.raises(RedisRefusedError, match="it isn't known whether anything was enqueued") as caught:
            await pusher.push_many([Push(to=f"room:{number}", data=number) for number in range(20)])
    assert (caught.value.code, caught.value.uncertain) == ("WRONGTYPE", True)
