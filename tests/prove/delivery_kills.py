"""Edges behind Caddy and Valkey are killed under load; clients come back with their cursors and miss nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from random import Random

from tests.prove.frame import FAULTS, PATIENCE_S, Count, Plan, Trial
from tests.prove.load import Crowd, Pushing, some
from tests.prove.site import Site, restart, running, together
from tests.support.redis import KEPT
from tests.support.steady import SteadyClient
from tests.support.wait import wait_until

CHANNELS = [f"room:{number}" for number in range(10)]
RATE, CLIENTS, SLOW = 120.0, 60, 12
_ROUND = 20
"""Kills before all that was seen is judged; of four, one is Valkey's."""
_EDGE_EVERY_S, _REDIS_EVERY_S = (0.5, 2.5), (3.0, 5.0)
_LONG_AWAY = 0.2
_KEPT = "*=2000/8388608/3600"


async def run(plan: Plan) -> AsyncIterator[Count]:
    dice = plan.dice()
    async with running(
        edges=("--retry-ms", "200", "--busy-retry-ms", "300", "--ring-entries", "400"),
        workers=("--history", _KEPT),
        count=3,
        worker_count=2,
        with_caddy=True,
        redis=KEPT,
    ) as site:
        pushing = Pushing(site.redis.url, CHANNELS, RATE)
        clients = [_client(dice, site, pushing, number) for number in range(CLIENTS)]
        async with together(*[client.run for client in clients], pushing.run):
            await wait_until(lambda: all(client.connects for client in clients), PATIENCE_S)
            async for step in _rounds(plan, dice, site, pushing, Crowd(clients, pushing.accepted)):
                yield step
            pushing.stop()


def _client(dice: Random, site: Site, pushing: Pushing, number: int) -> SteadyClient:
    """Most come through Caddy; every fifth comes by itself, reads in fits, and has a small window."""
    slow, chance = number < SLOW, Random(dice.random())

    def away_s(retry_ms: int) -> float:
        """Wait as asked, and sometimes so long that the cursor is old."""
        longer = chance.uniform(0, 8) if chance.random() < _LONG_AWAY else 0
        return min(retry_ms / 1000, 10) * chance.uniform(0.5, 1.5) + longer

    return SteadyClient(
        edges=site.edges if slow else site.proxies,
        channels=some(dice, CHANNELS, 5),
        first=number,
        owed=pushing.owed,
        away_s=away_s,
        receive_bytes=4096 if slow else 0,
    )


async def _rounds(plan: Plan, dice: Random, site: Site, pushing: Pushing, crowd: Crowd) -> AsyncIterator[Count]:
    for start in range(0, plan.amount, _ROUND):
        kills = min(_ROUND, plan.amount - start)
        restarts = (kills + 3) // 4
        async with together(lambda: _doze(dice, crowd.clients)), asyncio.TaskGroup() as group:
            group.create_task(_kill_edges(dice, site, kills - restarts))
            group.create_task(_kill_redis(dice, site, restarts))
        ended = [part for part in (*site.edges, *site.workers) if part.returncode is not None]
        yield await crowd.settled() + Count(done=kills, other=len(ended), figures=_figures(pushing, crowd))


def _figures(pushing: Pushing, crowd: Crowd) -> dict[str, float | str]:
    return {
        "events accepted": pushing.count,
        "events seen": crowd.events,
        "reconnects": sum([client.connects - 1 for client in crowd.clients]),
        "pushes sent again": pushing.repeats,
        "gaps and resets told": sum([len(client.notices) for client in crowd.clients]),
        "statuses other than 200": sum([len(client.refusals) for client in crowd.clients]),
    }


async def _kill_edges(dice: Random, site: Site, kills: int) -> None:
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(*_EDGE_EVERY_S))
        await restart(dice.choice(site.edges))


async def _kill_redis(dice: Random, site: Site, kills: int) -> None:
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(*_REDIS_EVERY_S))
        await restart(site.redis)


async def _doze(dice: Random, clients: Sequence[SteadyClient]) -> None:
    """Slow clients stop reading for a while, one after another; now and then somebody's network is gone."""
    while True:
        stream = dice.choice(clients[:SLOW]).stream
        if stream is not None:
            stream.stall(stalled=True)
            try:
                await asyncio.sleep(dice.uniform(0.5, 4))
            finally:
                stream.stall(stalled=False)
        lost = dice.choice(clients).stream
        if lost is not None:
            lost.cut()
        await asyncio.sleep(0.1)


TRIAL = Trial(
    name="delivery-kills",
    does=f"an edge of three behind Caddy is killed, or (each fourth time) Valkey with an append-only file, under {RATE:g} pushes/s; "
    f"{CLIENTS} clients come back with their cursors, some of them slow, some after a while",
    unit="kills",
    full=400,
    few=2,
    minutes=25,
    run=run,
    looks_for=FAULTS,
)
