"""Revocations in Redis: once per id in each shard's set and log, whatever fails between."""

import json
import os
import signal
import time
from collections.abc import AsyncIterator

import anyio
import pytest
import redis as blocking
from hypothesis import HealthCheck, given, settings, strategies as st
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from tailrace.access import Revocation, keep_until
from tailrace.events import LogReader, LogWriter, NewEvent, Registry, _revocations as module
from tailrace.events._revocations import (
    MAX_GRANT_S,
    REVOCATION_CHANNEL,
    REVOCATION_FORMAT,
    SKEW_S,
    RevocationError,
    Revoker,
    StoredRevocation,
    Target,
    decode_revocation,
    read_revocations,
)
from tailrace.redis import connect
from tailrace.wire import Entry, Keys, bucket, encode_json_block
from tests.support.cluster import ask
from tests.support.redis import RedisServer
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
KEYS = Keys()
ANN, ROOM = Target(sub="ann"), Target(channel="room:1")
BLOCK = encode_json_block("message", b"1")


@pytest.fixture
async def redis(any_redis_url: str) -> AsyncIterator[Redis]:
    async with connect(any_redis_url) as client:
        yield client


async def logged(redis: Redis, shard: int = 0) -> list[Entry]:
    return await LogReader(redis, KEYS, shard).newest(10_000)


async def revoked(redis: Redis, shard: int = 0) -> list[StoredRevocation]:
    return [decode_revocation(entry.block) for entry in await logged(redis, shard) if entry.channel == REVOCATION_CHANNEL]


async def test_a_revocation_is_in_each_shard_s_set_and_log_and_repeated_it_changes_nothing(redis: Redis) -> None:
    revoker = Revoker(redis, KEYS, 8)
    first = await revoker.revoke(ANN, revocation_id="one")
    assert first.before == pytest.approx(time.time() + 31, abs=5)
    assert first.until == pytest.approx(keep_until(first.before, MAX_GRANT_S, SKEW_S), abs=0.001)
    assert await revoker.revoke(ANN, revocation_id="one") == first
    for shard in range(8):
        assert await revoked(redis, shard) == [first]
        found = await read_revocations(redis, KEYS, shard)
        (entry,) = await logged(redis, shard)
        assert (found.revocations, found.position, found.generation) == ([first], entry.id, entry.generation)


async def test_the_text_is_that_of_the_access_rules(redis: Redis) -> None:
    target = Target(sub='a"n\n%s', sid="s/1", channel="room:1")
    await Revoker(redis, KEYS, 1).revoke(target, revocation_id='i"d\r\n')
    (entry,) = await logged(redis)
    read = Revocation(**json.loads(entry.block.partition(b"data: ")[2]))
    assert (read.id, read.sub, read.sid, read.channel) == ('i"d\r\n', target.sub, target.sid, target.channel)


async def test_before_is_later_than_any_before_it_and_all_shards_have_the_first_one_s(redis: Redis) -> None:
    revoker = Revoker(redis, KEYS, 2)
    befores = [(await revoker.revoke(Target(sub=str(n)))).before for n in range(20)]
    assert befores == sorted(set(befores))
    past = await revoker.revoke(ROOM, before=1000, until=time.time() + 60)
    assert past.before == 1000
    assert (await revoker.revoke(ANN)).before > befores[-1]
    assert await revoked(redis, 0) == await revoked(redis, 1)


async def test_links_go_through_a_revocation_as_through_any_entry(redis: Redis) -> None:
    writer, revoker = LogWriter(redis, KEYS, 0), Revoker(redis, KEYS, 1)
    for number in range(3):
        await writer.append([NewEvent("0", "a", BLOCK)])
        await revoker.revoke(Target(sub=str(number)))
    entries = await logged(redis)
    assert [entry.channel for entry in entries] == ["a", REVOCATION_CHANNEL] * 3
    assert [entry.log_before for entry in entries] == [0, *[entry.id for entry in entries[:-1]]]
    assert [entry.before for entry in entries[1::2]] == [0, *[entry.id for entry in entries[1:-1:2]]]
    assert len({entry.generation for entry in entries}) == 1


async def test_a_redis_out_of_memory_takes_it(redis_server: RedisServer) -> None:
    async with connect(redis_server.url) as redis:
        await redis.config_set("maxmemory", 1)
        with pytest.raises(OutOfMemoryError):
            await LogWriter(redis, KEYS, 0).append([NewEvent("0", "a", BLOCK)])
        stored = await Revoker(redis, KEYS, 2).revoke(ANN)
        assert await revoked(redis, 1) == [stored]


async def test_a_restart_between_shards_is_waited_for_and_nothing_is_written_twice(redis_server: RedisServer) -> None:
    async with connect(redis_server.url) as redis:
        await Revoker(redis, KEYS, 1).revoke(ANN, revocation_id="one")  # as far as the caller came
        redis_server.kill()
        revoker = Revoker(redis, KEYS, 2, timeout_s=0.2)
        with pytest.raises(RevocationError, match="nothing is revoked"):
            await revoker.revoke(ANN, revocation_id="one")
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, redis_server.start)
            await Revoker(redis, KEYS, 2).revoke(ANN, revocation_id="one")
        assert await revoked(redis, 0) == await revoked(redis, 1)
        assert len(await revoked(redis, 0)) == 1


async def test_an_error_names_the_shards_without_it_and_a_repeat_completes_it(redis: Redis) -> None:
    await redis.set(KEYS.revocations(1), "overwritten")
    revoker = Revoker(redis, KEYS, 3)
    with pytest.raises(RevocationError, match="'one' is missing on shard 1") as raised:
        await revoker.revoke(ANN, revocation_id="one")
    assert (raised.value.id, raised.value.missing) == ("one", (1,))
    assert await logged(redis, 1) == []
    await redis.delete(KEYS.revocations(1))
    stored = await revoker.revoke(ANN, revocation_id="one")
    assert [await revoked(redis, shard) for shard in range(3)] == [[stored]] * 3


async def test_without_the_first_shard_nothing_is_written(redis: Redis) -> None:
    await redis.set(KEYS.log(0), "overwritten")
    with pytest.raises(RevocationError) as raised:
        await Revoker(redis, KEYS, 3).revoke(ANN)
    assert raised.value.missing == (0, 1, 2)
    assert await logged(redis, 1) == []
    assert not await redis.exists(KEYS.revocations(0), KEYS.revocations(1))


async def test_an_id_that_another_revocation_has_is_refused(redis: Redis) -> None:
    revoker = Revoker(redis, KEYS, 1)
    await revoker.revoke(ANN, revocation_id="one")
    with pytest.raises(RevocationError, match="another revocation has the id 'one'"):
        await revoker.revoke(ROOM, revocation_id="one")
    with pytest.raises(RevocationError, match="another revocation has the id 'one'"):
        await revoker.revoke(ANN, revocation_id="one", before=1000)
    assert len(await revoked(redis)) == 1


async def test_an_edge_that_ignores_revocations_prevents_them(redis: Redis) -> None:
    registry, revoker = Registry(redis, KEYS), Revoker(redis, KEYS, 1)
    await registry.register("edge", {}, {}, whole=True)
    with pytest.raises(RevocationError, match="upgrade all edges first"):
        await revoker.revoke(ANN)
    assert await logged(redis) == []
    await redis.hset(KEYS.edge("edge"), "format", str(REVOCATION_FORMAT))  # type: ignore[misc]
    await revoker.revoke(ANN)
    assert len(await revoked(redis)) == 1


async def test_a_set_is_bounded_and_what_was_accepted_stays(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    revoker = Revoker(redis, KEYS, 1)
    monkeypatch.setattr(module, "MAX_REVOCATIONS", 2)
    stored = [await revoker.revoke(Target(sub=name)) for name in "ab"]
    with pytest.raises(RevocationError, match="the set is full: 2 revocations"):
        await revoker.revoke(ANN)
    monkeypatch.setattr(module, "MAX_REVOCATIONS", 10)
    monkeypatch.setattr(module, "MAX_REVOCATION_BYTES", 400)
    with pytest.raises(RevocationError, match="the set is full: 400 bytes"):
        await revoker.revoke(Target(sub="c" * 300))
    assert (await read_revocations(redis, KEYS, 0)).revocations == stored == await revoked(redis)


async def test_what_nobody_needs_any_longer_is_forgotten_and_makes_room(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REVOCATIONS", 1)
    revoker = Revoker(redis, KEYS, 1)
    await revoker.revoke(ANN, revocation_id="short", before=1000, until=time.time() + 0.5)
    assert await redis.pttl(KEYS.revocations(0)) > 0
    await wait_until(lambda: _is_empty(redis))
    stored = await revoker.revoke(ROOM)
    assert (await read_revocations(redis, KEYS, 0)).revocations == [stored]
    assert await redis.hexists(KEYS.revocations(0), "r:short") is False  # type: ignore[misc]
    size = await redis.hstrlen(KEYS.revocations(0), f"r:{stored.id}")  # type: ignore[misc]
    assert int(await redis.hget(KEYS.revocations(0), "bytes") or 0) == size  # type: ignore[misc]
    lives_ms = max(await redis.pttl(KEYS.revocations(0)), await redis.pttl(KEYS.revocation_ends(0)))
    assert lives_ms / 1000 == pytest.approx(stored.until + 60 - time.time(), abs=5)


async def _is_empty(redis: Redis) -> bool:
    return not (await read_revocations(redis, KEYS, 0)).revocations


async def test_events_after_the_receipt_are_behind_it_in_every_log(redis: Redis) -> None:
    channels = [next(f"a:{n}" for n in range(100) if bucket(f"a:{n}", 8) == shard) for shard in range(8)]
    writers = [LogWriter(redis, KEYS, shard) for shard in range(8)]
    receipts, after = dict[str, float](), list[tuple[int, int, str]]()
    done = anyio.Event()

    async def append(shard: int) -> None:
        while not done.is_set():
            known = list(receipts)
            (event,) = await writers[shard].append([NewEvent("0", channels[shard], BLOCK)])
            after.extend([(shard, event.id, name) for name in known])

    async def revoke(first: int) -> None:
        for number in range(first, first + 10):
            stored = await Revoker(redis, KEYS, 8).revoke(Target(sub=f"s{number}"), revocation_id=f"{number}")
            receipts[stored.id] = stored.before

    async with anyio.create_task_group() as group:
        for shard in range(8):
            group.start_soon(append, shard)
        async with anyio.create_task_group() as revokers:
            for first in (0, 10, 20):
                revokers.start_soon(revoke, first)
        done.set()
    places = {}
    for shard in range(8):
        entries = await logged(redis, shard)
        assert [entry.log_before for entry in entries[1:]] == [entry.id for entry in entries[:-1]]
        found = {decode_revocation(entry.block).id: entry for entry in entries if entry.channel == REVOCATION_CHANNEL}
        assert len(found) == 30
        places[shard] = {name: entry.id for name, entry in found.items()}
    assert len(set(receipts.values())) == 30
    assert len(after) > 100
    assert all(event > places[shard][name] for shard, event, name in after)


async def test_replicas_that_are_missing_are_trouble_and_repeated_it_counts_once() -> None:
    with RedisServer("valkey", "--repl-diskless-sync-delay", "0") as primary, RedisServer("valkey") as replica:
        async with connect(primary.url) as redis:
            with pytest.raises(RevocationError, match="0 of 1 replicas"):
                await Revoker(redis, KEYS, 1, min_replicas=1, timeout_s=0.5).revoke(ANN, revocation_id="one")
            ask(replica.port, "REPLICAOF", "127.0.0.1", primary.port)
            await wait_until(lambda: "state=online" in ask(primary.port, "INFO", "replication"))
            await Revoker(redis, KEYS, 1, min_replicas=1).revoke(ANN, revocation_id="one")
            assert ask(replica.port, "XLEN", KEYS.log(0)) == ask(primary.port, "XLEN", KEYS.log(0)) == 1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"before": time.time() + 3600}, "before"), ({"until": 5.0}, "until"), ({"revocation_id": "x" * 1025}, "revocation_id")],
)
async def test_a_wrong_value_is_named(redis: Redis, arguments: dict[str, object], name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}`"):
        await Revoker(redis, KEYS, 1).revoke(ANN, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs a `sub` or a `channel`"):
        Target()
    with pytest.raises(ValueError, match="together with its `sub`"):
        Target(sid="s", channel="a")
    with pytest.raises(ValueError, match="`channel`"):
        Target(channel="")


STEPS = st.lists(
    st.tuples(st.sampled_from(["revoke", "stop early", "repeat", "append", "explicit"]), st.integers(0, 3)), min_size=1, max_size=12
)


@given(steps=STEPS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_interrupted_and_repeated_set_and_log_agree_and_before_rises(redis_url: str, steps: list[tuple[str, int]]) -> None:
    anyio.run(_history, redis_url, steps)


async def _history(url: str, steps: list[tuple[str, int]]) -> None:
    with blocking.Redis.from_url(url) as admin:
        admin.flushall()
    async with connect(url) as redis:
        known, given_out = dict[str, StoredRevocation](), list[float]()
        for number, (step, which) in enumerate(steps):
            if step == "append":
                await LogWriter(redis, KEYS, which % 2).append([NewEvent("0", "a", BLOCK)])
                continue
            name = f"{which}" if step in ("repeat", "stop early") else f"new{number}"
            shards = 1 if step == "stop early" else 2  # its caller dies before the second shard
            explicit = {"before": time.time()} if step == "explicit" else {}
            stored = await Revoker(redis, KEYS, shards).revoke(Target(sub=name), revocation_id=name, **explicit)
            if name in known:
                assert stored == known[name]
            elif not explicit:
                given_out.append(stored.before)
            known[name] = stored
        assert given_out == sorted(set(given_out))
        both = [sorted(await revoked(redis, shard), key=lambda each: each.id) for shard in range(2)]
        assert both[0] == sorted(known.values(), key=lambda each: each.id)
        assert all(each in both[0] for each in both[1])
        for shard in range(2):
            kept = (await read_revocations(redis, KEYS, shard)).revocations
            assert sorted(kept, key=lambda each: each.id) == both[shard]


async def test_a_shard_whose_answer_is_lost_is_told_the_same_again_and_has_it_once(redis_server: RedisServer) -> None:
    async with connect(redis_server.url) as redis, connect(redis_server.url, timeout_s=0.2) as hurried:
        await Revoker(redis, KEYS, 1).revoke(ROOM)
        os.kill(redis_server.pid, signal.SIGSTOP)  # what is sent meanwhile is run later, and nobody waits for its answer any more
        async with anyio.create_task_group() as group:
            group.start_soon(_continue_soon, redis_server)
            stored = await Revoker(hurried, KEYS, 1).revoke(ANN)
        assert (await revoked(redis))[1:] == [stored]


async def _continue_soon(server: RedisServer) -> None:
    began = time.monotonic()
    await wait_until(lambda: time.monotonic() > began + 0.7)
    os.kill(server.pid, signal.SIGCONT)
