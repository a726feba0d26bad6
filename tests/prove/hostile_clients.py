"""What untrusted clients can make services hold and spend: each bounded, no push fails, and nobody honest is kept out."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tailrace.events import LogWriter, NewEvent, Registry
from tailrace.push import Pusher
from tailrace.redis import connect
from tailrace.service import raise_file_limit
from tailrace.wire import ALL, JobState, Keys, TailraceError, encode_json_block
from tests.benchmarks._process import cpu_s
from tests.prove.frame import PATIENCE_S, Count, Plan, Trial
from tests.prove.unprotected import Unprotected
from tests.support.flood import dial, flood, rss_kb
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.sse import SSEClient
from tests.support.wait import wait_until, wait_until_sync

Make = Callable[..., Service]
_HONEST = "127.0.0.2"
_ID = "00000000-0000-4000-8000-{:012}"
_MOST_KB = 200
"""The memory that one untrusted connection may cost."""
_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_LINE = b"POST /push HTTP/1.1\r\nHost: localhost\r\n"
_SENT = {
    "silent socket": b"",
    "unfinished head of 7,500 tiny fields": _LINE + b"a:\r\n" * 7500,
    "keep-alive connection": _HEALTH,
    "unfinished head as large as may be": _LINE + b"".join(b"a%d:%s\r\n" % (number, b"x" * 240) for number in range(120)),
}
_MOST_CPU_S_EACH, _REWINDS, _MOST_REWINDS_S = 0.001, 200, 2.0
_IDLE_S = 0.06
_FLAGS = ("--heartbeat-s", "30", "--registry-lease-s", "15")
_REDIS_MB, _LEAST_MB = 64, 16
_MOST_FULL = 0.8
_MOST_GROWTH, _MOST_GROWTH_US = 2, 200
"""By how much a push may cost Redis more beside all streams than beside none: so much the clock and the load of a machine differ."""
_ENOUGH_FAILED = 3
_PUSH_S = 20.0


async def sockets(plan: Plan, make: Make) -> AsyncIterator[Count]:
    """Hold sockets that have sent no whole request, or one long ago."""
    with RedisServer() as server:
        for name in ("edge", "ingest"):
            yield await asyncio.to_thread(_held, name, partial(make, name, "--redis", server.url), plan.amount // 8)


def _held(name: str, make: Callable[[], Service], count: int) -> Count:
    """Measure from the same beginning on, so that nothing counts as less because memory of the kind before is used again."""
    with make() as service:
        found = Count(other=int(not _answers(service)))
        before = rss_kb(service.pid)
        for kind, sent in _SENT.items():
            with flood(service, count, lambda _, sent=sent: sent):  # type: ignore[misc]
                kept_out = sum([not _answers(service) for _ in range(20)])
                each = (rss_kb(service.pid) - before) / count
            found += _bounded(f"{name}, {kind}: memory, KiB", each, _MOST_KB) + Count(done=count, other=kept_out)
    return found


def _answers(service: Service) -> bool:
    with suppress(OSError), dial(service.url, _HONEST) as connection:
        connection.sendall(_HEALTH)
        return connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    return False


async def streams(plan: Plan, make: Make) -> AsyncIterator[Count]:
    """Open streams with as many and as long names as may be, in a Redis with little memory, and push all the while."""
    memory_mb = min(_REDIS_MB, max(_LEAST_MB, _REDIS_MB * plan.amount // 2000))
    with RedisServer("valkey", "--maxmemory", f"{memory_mb}mb") as server, ExitStack() as stack:
        edge = await asyncio.to_thread(stack.enter_context, make("edge", "--redis", server.url, *_FLAGS))
        await asyncio.to_thread(stack.enter_context, Service("worker", "--redis", server.url, "--log-level", "error"))
        async with connect(server.url, timeout_s=PATIENCE_S) as redis, Pusher(server.url, timeout_s=_PUSH_S) as pusher:
            before, costs, opened = rss_kb(edge.pid), list[float](), 0
            for wanted in (0, plan.amount // 4, plan.amount):
                await asyncio.to_thread(stack.enter_context, _streams(edge, [_long_names(number) for number in range(opened, wanted)]))
                opened = wanted
                yield await _registered(redis, opened)
                failed, cost_us = await _pushes(edge, redis, pusher, max(100, plan.amount // 4))
                costs.append(cost_us)
                yield Count(other=failed, figures={f"Redis' CPU for a push beside {opened:,} such streams, us": round(cost_us)})
            used = (await redis.info("memory"))["used_memory"] / (1 << 20)
            yield _bounded("edge, stream with 100 names of 128 characters: memory, KiB", (rss_kb(edge.pid) - before) / opened, _MOST_KB)
            yield _bounded(f"Redis' memory then, MiB of {memory_mb}", used, memory_mb * _MOST_FULL)
            yield Count(done=opened, other=int(costs[-1] > _MOST_GROWTH * costs[0] + _MOST_GROWTH_US))


def _long_names(number: int) -> str:
    return "&".join([f"channel={number:06}-{place:03}-".ljust(136, "x") for place in range(100)]) + f"&client_id={_ID.format(number)}"


@contextmanager
def _streams(edge: Service, queries: list[str]) -> Iterator[int]:
    """Hold a stream for each query once each is answered; give how many were let in."""
    with flood(edge, len(queries), lambda number: f"GET /sse?{queries[number]} HTTP/1.1\r\nHost: edge\r\n\r\n".encode()) as connections:
        yield sum([b"event: connect" in _first(connection) for connection in connections])


def _first(connection: socket.socket) -> bytes:
    """Return an answer's beginning up to its first event, or all of one that has none."""
    text = b""
    with suppress(OSError):
        while b"event: " not in text and (part := connection.recv(4096)):
            text += part
    return text


async def _registered(redis: Redis, count: int) -> Count:
    """Wait until all are in the registry; a fault where they don't get there."""
    registry = Registry(redis, Keys())

    async def all_are() -> bool:
        return (await registry.recipients([ALL]))[0] >= count

    with suppress(TimeoutError):
        await wait_until(all_are, PATIENCE_S)
        return Count()
    return Count(other=1)


async def _pushes(edge: Service, redis: Redis, pusher: Pusher, count: int) -> tuple[int, float]:
    """Push one after another to an honest client; count those that fail or that it doesn't get, and measure what each costs Redis."""
    failed = 0
    async with SSEClient(f"{edge.url}/sse", channel="room:1") as honest:
        try:
            await honest.next("connect", PATIENCE_S)
        except TimeoutError:
            return 1, 0
        used = await _cpu_us(redis)
        for number in range(count):
            failed += not await _is_appended(pusher, number)
            if failed == _ENOUGH_FAILED:
                break
        used = await _cpu_us(redis) - used
        if not failed:
            seen = [(await honest.data(timeout_s=PATIENCE_S))["n"] for _ in range(count)]
            failed = int(seen != list(range(count)))
    return failed, used / count


async def _is_appended(pusher: Pusher, number: int) -> bool:
    with suppress(TailraceError, RedisError, OSError):
        job = await pusher.push("room:1", {"n": number}, stamp=False)
        receipt = await job.receipt(_PUSH_S)
        return receipt is not None and receipt.state == JobState.APPENDED
    return False


async def _cpu_us(redis: Redis) -> float:
    found = await redis.info("cpu")
    return float(found["used_cpu_sys"] + found["used_cpu_user"]) * 1e6


async def floods(plan: Plan, make: Make) -> AsyncIterator[Count]:
    """Open many streams with one `client_id`, and leave rewinds at once."""
    count = plan.amount * 5 // 4
    with RedisServer() as server:
        async with connect(server.url, timeout_s=PATIENCE_S) as redis:
            writer = LogWriter(redis, Keys(), 0)
            for channel in range(100):
                blocks = [encode_json_block("message", b'{"n":%d,"filler":"%s"}' % (number, b"x" * 200)) for number in range(100)]
                await writer.append([NewEvent("", f"c:{channel}", block) for block in blocks])
        yield await asyncio.to_thread(_one_id, partial(make, "edge", "--redis", server.url, *_FLAGS), count)
        yield await asyncio.to_thread(_rewinds, partial(make, "edge", "--redis", server.url, *_FLAGS))


def _one_id(make: Callable[[], Service], count: int) -> Count:
    with make() as edge:
        _warm_up(edge)
        before = cpu_s(edge.pid)
        with _streams(edge, [_names_of_one(number) for number in range(count)]) as let_in:
            used = _settled_cpu_s(edge) - before
            with _streams(edge, [f"client_id={_ID.format(1)}"]) as honest:
                kept_out = 1 - honest
    figures: dict[str, float | str] = {f"of {count:,} streams with one client_id, let in": let_in}
    found = _bounded(f"edge's CPU for {count:,} streams with one client_id, s", used, count * _MOST_CPU_S_EACH)
    return found + Count(done=count, other=kept_out, figures=figures)


def _names_of_one(number: int) -> str:
    """Ask for channels that no other connection of the client has, so that what it has in all grows."""
    return "&".join([f"channel={number}-{place}" for place in range(10)]) + f"&client_id={_ID.format(0)}"


def _rewinds(make: Callable[[], Service]) -> Count:
    names = "&".join([f"channel=c:{channel}" for channel in range(100)])
    with make() as edge:
        _warm_up(edge)
        before = cpu_s(edge.pid)
        for number in range(_REWINDS):
            with dial(edge.url) as connection:
                connection.sendall(f"GET /sse?rewind={1000 - number}&{names} HTTP/1.1\r\nHost: edge\r\n\r\n".encode())
        used = _settled_cpu_s(edge) - before
        kept_out = int(not _answers(edge))
    return _bounded(f"edge's CPU for {_REWINDS} rewinds closed at once, s", used, _MOST_REWINDS_S) + Count(done=_REWINDS, other=kept_out)


def _warm_up(edge: Service) -> None:
    with _streams(edge, [f"channel=c:1&rewind=1&client_id={_ID.format(2)}"]):
        pass


def _settled_cpu_s(edge: Service) -> float:
    """Return the CPU time that an edge has used once it is as good as idle for two seconds, on a busy machine too."""
    looks = [(time.monotonic(), cpu_s(edge.pid))]

    def is_idle() -> bool:
        now, used = time.monotonic(), cpu_s(edge.pid)
        if now - looks[-1][0] < 1:
            return False
        looks.append((now, used))
        return len(looks) > 2 and used - looks[-3][1] < _IDLE_S

    with suppress(TimeoutError):
        wait_until_sync(is_idle, PATIENCE_S)
    return looks[-1][1]


def _bounded(name: str, value: float, most: float) -> Count:
    return Count(other=int(value > most), figures={name: round(value, 2)})


async def run(plan: Plan) -> AsyncIterator[Count]:
    """Do all there is, with every protection on; what counts as done are the streams."""
    raise_file_limit()
    for part in (sockets, streams, floods):
        async for count in part(plan, Service):
            yield count if part is streams else msgspec.structs.replace(count, done=0)


def _without(protection: str, part: Callable[[Plan, Make], AsyncIterator[Count]]) -> Callable[[Plan], AsyncIterator[Count]]:
    def run_without(plan: Plan) -> AsyncIterator[Count]:
        raise_file_limit()
        return part(plan, partial(Unprotected, protection))

    return run_without


_TRIAL = Trial(
    name="hostile-clients",
    does="a connection without a token that costs what it can: an unfinished head, silence, keep-alive, 100 names of 128 characters, one "
    "client_id for all, a rewind that is left at once; each costs at most 200 KiB, a push costs Redis the same beside any number, pushes "
    "pass in a Redis of 64 MB, and nobody honest is kept out",
    unit="connections",
    full=2000,
    few=400,
    minutes=3,
    run=run,
    looks_for=("other",),
)
TRIALS = (
    _TRIAL,
    _TRIAL._replace(
        name="hostile-heads-twin",
        does="sockets with unfinished heads (off: the bounds of fields, heads, and what all of them hold)",
        minutes=1,
        run=_without("heads", sockets),
        twin=True,
    ),
    _TRIAL._replace(
        name="hostile-names-twin",
        does="streams with 100 names of 128 characters in a Redis of 64 MB (off: hashes of long names, and the bound of the registry)",
        minutes=1,
        run=_without("registry", streams),
        twin=True,
    ),
)
