"""What has to be true of Redis before anything starts."""

import pytest

from tailrace.events import HistoryPolicy
from tailrace.redis import check_layout, check_redis, connect, redact
from tailrace.wire import Keys, SetupError
from tests.support.redis import RedisServer


@pytest.mark.anyio
async def test_a_redis_that_evicts_is_refused(any_redis_url: str) -> None:
    async with connect(any_redis_url) as redis:
        await check_redis(redis)
        for policy in ("allkeys-lru", "volatile-ttl"):
            await redis.config_set("maxmemory-policy", policy)
            try:
                with pytest.raises(SetupError, match=f"{policy}.*noeviction"):
                    await check_redis(redis)
            finally:
                await redis.config_set("maxmemory-policy", "noeviction")


@pytest.mark.anyio
async def test_a_redis_with_a_password_can_be_reached() -> None:
    with RedisServer("valkey") as server:
        async with connect(server.url) as redis:
            await redis.config_set("requirepass", "s3cret")
        async with connect(server.url.replace("redis://", "redis://:s3cret@")) as redis:
            await check_redis(redis)


@pytest.mark.anyio
async def test_all_processes_have_the_same_number_of_shards(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        await check_layout(redis, Keys(), 2)
        await check_layout(redis, Keys(), 2)
        with pytest.raises(SetupError, match=r"is 3 here and 2 in Redis"):
            await check_layout(redis, Keys(), 3)
        await check_layout(redis, Keys("another"), 3)
        with pytest.raises(SetupError, match="1 to 8"):
            await check_layout(redis, Keys(), 9)


@pytest.mark.parametrize("password", ["secret", "se/cret", "se#cret", "se?cret", "se@cret", "se:cret"])
def test_a_url_that_cannot_be_read_says_so_without_its_password(password: str) -> None:
    with pytest.raises(SetupError, match=r"bad Redis URL .*percent-encoded") as caught:
        connect(f"http://u:{password}@host")
    for part in ("secret", "cret", "se/"):
        assert part not in str(caught.value)
    assert "cret" not in redact(f"redis://:{password}@host:1/0")
    assert redact("redis://host") == "redis://host"


def test_a_history_rule_that_cannot_be_read_says_what_is_needed() -> None:
    with pytest.raises(SetupError, match="PATTERN=ENTRIES/BYTES/SECONDS"):
        HistoryPolicy("room:1=many")


def test_the_first_rule_that_fits_holds() -> None:
    policy = HistoryPolicy("client:*=10/1000/120 *=100/10000/3600")
    assert policy.rule("client:x", 10) == "10 120"
    assert policy.rule("room:1", 10) == "100 3600"
    assert policy.rule("room:1", 5000) == "2 3600"
    assert policy.rule("room:1", 50_000) == "1 3600"
    assert HistoryPolicy("a=1/1/1").rule("b", 1) == ""
