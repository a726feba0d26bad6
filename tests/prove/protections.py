"""What keeps a gap from being silent, each protection with it and without it: the same scenario, edge and checker."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from random import Random

import msgspec
from redis.asyncio import Redis

from tailrace.redis import connect
from tests.prove.frame import FAULTS, PATIENCE_S, Count, Plan, Trial
from tests.prove.load import Crowd, Pushing, count_of
from tests.prove.site import Site, running, together
from tests.prove.unprotected import Unprotected
from tests.support.redis import RedisServer
from tests.support.relay import Line, Relay
from tests.support.service import Service
from tests.support.steady import SteadyClient
from tests.support.wait import wait_until
from tests.system.checker import Judge, Verdict

Make = Callable[..., Service]
_ROOMS = [f"room:{number}" for number in range(4)]


async def resumes(plan: Plan, make: Make) -> AsyncIterator[Count]:
    """Clients come back after more events than a history keeps, at an edge whose ring begins after their cursor."""
    dice, told = plan.dice(), 0
    async with running(edges=("--retry-ms", "100", "--ring-entries", "20"), workers=("--history", "*=10/262144/3600"), make=make) as site:
        pushing = Pushing(site.redis.url, _ROOMS[:2], 160, filler_every=0)
        clients = [SteadyClient(site.edges, _ROOMS[:2], owed=pushing.owed, away_s=lambda _: dice.uniform(0.5, 3)) for _ in range(10)]
        crowd = Crowd(clients, pushing.accepted)
        async with together(*[client.run for client in clients], pushing.run):
            await wait_until(lambda: all(client.connects for client in clients), PATIENCE_S)
            for _ in range(0, plan.amount, len(clients)):
                await _come_back(clients)
                found = await crowd.settled()
                told += found.lost - found.silent
                figures: dict[str, float | str] = {"gone from histories, and told": told}
                yield msgspec.structs.replace(found, done=len(clients), lost=found.silent, figures=figures)
            pushing.stop()


async def _come_back(clients: Sequence[SteadyClient]) -> None:
    """Cut all, and wait until all are back."""
    wanted = [client.connects + 1 for client in clients]
    for client in clients:
        if client.stream is not None:
            client.stream.cut()
    await wait_until(lambda: all(client.connects >= want for client, want in zip(clients, wanted, strict=True)), PATIENCE_S)


async def joins(plan: Plan, make: Make) -> AsyncIterator[Count]:
    """Clients join while events pass, stay a moment, and leave; half of them come with the cursor of one that left."""
    dice = plan.dice()
    async with running(edges=("--retry-ms", "100"), make=make) as site:
        pushing = Pushing(site.redis.url, _ROOMS, 200, filler_every=0)
        async with together(pushing.run):
            await wait_until(lambda: all(pushing.accepted.values()), PATIENCE_S)
            cursors: list[str] = []
            for start in range(0, plan.amount, 50):
                clients = [_newcomer(dice, site, pushing, cursors) for _ in range(min(50, plan.amount - start))]
                async with together(*[client.run for client in clients]):
                    await _have_seen(clients, 10)
                cursors = [client.cursor for client in clients]
                verdict = sum([_of_newcomer(client, pushing) for client in clients], Verdict())
                yield count_of(verdict) + Count(done=len(clients), other=sum([len(client.receded) for client in clients]))
            pushing.stop()


async def _have_seen(clients: Sequence[SteadyClient], events: int) -> None:
    await wait_until(lambda: all(len(client.seen) > events for client in clients), PATIENCE_S)


def _newcomer(dice: Random, site: Site, pushing: Pushing, cursors: list[str]) -> SteadyClient:
    cursor = dice.choice(cursors) if cursors and dice.random() < 0.5 else ""
    return SteadyClient(site.edges, _ROOMS, owed=pushing.owed, cursor=cursor)


def _of_newcomer(client: SteadyClient, pushing: Pushing) -> Verdict:
    """Judge what it saw, up to the last event of each channel: it left by itself."""
    judge = Judge(pushing.accepted)
    judge.take(client.seen)
    return judge.verdict(client.latest)


async def failovers(plan: Plan, make: Make) -> AsyncIterator[Count]:
    """Redis' address leads to a promoted replica, but the reader's connection stays with the former primary, which never closes it."""
    for _ in range(plan.amount):
        yield await _failover(make)


async def _failover(make: Make) -> Count:
    async with AsyncExitStack() as stack:
        former, replica = [await asyncio.to_thread(stack.enter_context, RedisServer("valkey")) for _ in range(2)]
        relay = await stack.enter_async_context(Relay(former.port))
        url = f"redis://{relay.address}/0"
        for service in (edge := make("edge", "--redis", url, "--registry-lease-s", "2"), Service("worker", "--redis", url)):
            await asyncio.to_thread(stack.enter_context, service)
        pushing = Pushing(url, _ROOMS, 50, filler_every=0)
        clients = [SteadyClient([edge], _ROOMS, owed=pushing.owed) for _ in range(5)]
        async with together(*[client.run for client in clients], pushing.run):
            await wait_until(lambda: all(client.latest for client in clients), PATIENCE_S)
            await _promote(replica, former)
            moved = time.monotonic()
            relay.move(replica.port, stays=_reads)
            pushed = pushing.count
            await wait_until(lambda: pushing.count > pushed + 10, PATIENCE_S)
            found = await Crowd(clients, pushing.accepted).settled(quiet_s=5)
            pushing.stop()
        return found + Count(done=1, figures={"s until all had everything": round(time.monotonic() - moved, 1)})


def _reads(line: Line) -> bool:
    return b"XREAD" in line.sent


async def _promote(replica: RedisServer, former: RedisServer) -> None:
    """Promote a replica once it has everything, and nobody writes to the former primary any more."""
    async with connect(former.url, timeout_s=PATIENCE_S) as old, connect(replica.url, timeout_s=PATIENCE_S) as new:
        await new.replicaof("127.0.0.1", str(former.port))
        await wait_until(lambda: _is_level(old, new), PATIENCE_S)
        await old.client_pause(60_000, all=False)
        await wait_until(lambda: _is_level(old, new), PATIENCE_S)
        await new.replicaof("NO", "ONE")


async def _is_level(old: Redis, new: Redis) -> bool:
    there, here = await old.info("replication"), await new.info("replication")
    return bool(here["master_link_status"] == "up" and here["slave_repl_offset"] >= there["master_repl_offset"])


def _with_and_without(protection: str, run: Callable[[Plan, Make], AsyncIterator[Count]], proof: Trial) -> tuple[Trial, Trial]:
    """Make a proof and its twin, which does a twentieth of it."""
    unprotected = proof._replace(
        name=f"{proof.name}-twin",
        full=max(proof.few, proof.full // 20),
        minutes=proof.minutes / 20,
        run=lambda plan: run(plan, partial(Unprotected, protection)),
        twin=True,
    )
    return proof._replace(run=lambda plan: run(plan, Service)), unprotected


TRIALS = (
    *_with_and_without(
        "links",
        resumes,
        Trial(
            name="resumes",
            does="a client comes back after more than a history keeps, at an edge whose ring begins later (off: `p` links)",
            unit="resumes",
            full=2000,
            few=10,
            minutes=10,
            looks_for=FAULTS,
        ),
    ),
    *_with_and_without(
        "join",
        joins,
        Trial(
            name="joins",
            does="a client joins while events pass, with or without a cursor (off: being live and being registered are one step)",
            unit="joins",
            full=20_000,
            few=100,
            minutes=10,
            looks_for=FAULTS,
        ),
    ),
    *_with_and_without(
        "probe",
        failovers,
        Trial(
            name="failovers",
            does="a replica is promoted, but the reader stays connected to the former primary, which goes on answering (off: the probe)",
            unit="failovers",
            full=60,
            few=1,
            minutes=12,
            looks_for=FAULTS,
        ),
    ),
)
