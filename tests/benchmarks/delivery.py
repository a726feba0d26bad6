"""Delivery: what an event costs on its way to many clients, and what a client costs that waits."""

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks._figures import Figures
from tests.benchmarks._load import Counted, floor, load
from tests.benchmarks._process import cpu_s, kernel_kb, rss_kb
from tests.benchmarks._sides import SIDES, Missing, Side
from tests.support.ports import free_port

SINGLE, BURST, LATENCY, IDLE = "single events", "burst", "50 events/s to 1,000 clients", "idle connections"
ACCEPT, GENERATOR = "accepts", "the load generator's own CPU"
FLOOR = "kernel floor (C)"
_DELIVERIES_PER_S = 20_000
_MOST_RATE = 50
_FEWEST_EVENTS = 5
_SLOW, _SLOW_CLIENTS = ("Pushpin",), 1000
"""It took half a minute to accept 3,000 connections, and so is measured in one round, with fewer."""
_SETTLE_S = 0.3


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int = 2
    single_s: float = 1.5
    sizes: tuple[int, ...] = (100, 1000, 5000, 15_000)
    burst_clients: int = 1000
    burst_s: float = 2.0
    """About: sides get a burst of as many events as they can deliver in this time."""
    latency_s: float = 2.0
    idle: int = 3000


async def measure(figures: Figures, plan: Plan, folder: Path, only: str = "") -> dict[str, str]:
    """Measure all sides, one after another in each round; return which are missing, and why."""
    missing: dict[str, str] = {}
    for number in range(plan.rounds):
        print(f"delivery, round {number + 1} of {plan.rounds}", flush=True)
        with figures.attempt(f"{FLOOR}, round {number + 1}"):
            await _measure_floor(figures, plan, folder)
        for name, start in SIDES:
            if name in missing or (number and name in _SLOW) or only not in name:
                continue
            try:
                with figures.attempt(f"{name}, round {number + 1}"):
                    async with start(folder) as side:
                        await _measure_side(figures, _slowly(plan) if name in _SLOW else plan, folder, name, side)
            except Missing as error:
                missing[name] = str(error)
                print(f"  {name}: not installed: {error}", flush=True)
    return missing


def _slowly(plan: Plan) -> Plan:
    return plan._replace(sizes=tuple([size for size in plan.sizes if size <= _SLOW_CLIENTS]), idle=min(plan.idle, _SLOW_CLIENTS))


async def _measure_floor(figures: Figures, plan: Plan, folder: Path) -> None:
    for clients in plan.sizes:
        counted, _ = await floor(folder, free_port(), clients, _rate(clients), _count(plan, clients) / _rate(clients))
        figures.add(SINGLE, "CPU us/delivery", f"{clients:,} clients", FLOOR, counted.cpu_us_per_delivery)
    _, seen = await floor(folder, free_port(), 1000, 50, plan.latency_s)
    figures.add(LATENCY, "p50 ms", "", FLOOR, seen.p50_ms)
    figures.add(LATENCY, "p99 ms", "", FLOOR, seen.p99_ms)


async def _measure_side(figures: Figures, plan: Plan, folder: Path, name: str, side: Side) -> None:
    await _idle(figures, plan, folder, name, side)
    for clients in plan.sizes:
        with figures.attempt(f"{SINGLE}, {clients:,} clients, {name}"):
            await _single(figures, plan, folder, name, side, clients)
    for part in (_latency, _burst, *([_replay] if side.replays else [])):
        with figures.attempt(f"{part.__name__[1:]}, {name}"):
            await part(figures, plan, folder, name, side)


def _rate(clients: int) -> float:
    return min(_MOST_RATE, _DELIVERIES_PER_S / clients)


def _count(plan: Plan, clients: int) -> int:
    return max(_FEWEST_EVENTS, round(_rate(clients) * plan.single_s))


async def _idle(figures: Figures, plan: Plan, folder: Path, name: str, side: Side) -> None:
    async with load(folder, side.port, side.path, 300, events=1):  # what a first connection brings stays
        await side.publish(1)
        await asyncio.sleep(_SETTLE_S)
        before, kernel = rss_kb(side.pid), kernel_kb()
        used = cpu_s(side.pid)
        async with load(folder, side.port, side.path, plan.idle, events=1) as clients:
            used = cpu_s(side.pid) - used
            await asyncio.sleep(_SETTLE_S)
            connected = clients.connected
            figures.add(IDLE, "RSS KB/connection", f"{plan.idle:,} clients", name, (rss_kb(side.pid) - before) / connected.connected)
            kept = (kernel_kb() - kernel) / connected.connected / 2  # a connection has both its ends on this machine
            figures.add(IDLE, "kernel KB/connection", f"{plan.idle:,} clients", name, kept)
            figures.add(ACCEPT, "connections/s", "plain", name, connected.connected / connected.answered_s)
            figures.add(ACCEPT, "CPU us/connection", "plain", name, used / connected.connected * 1e6)
            figures.add(GENERATOR, "share of its core", "accepts", name, connected.cpu_s / connected.answered_s)
    await asyncio.sleep(_SETTLE_S)


async def _steadily(side: Side, rate: float, count: int) -> None:
    due = time.monotonic()
    for _ in range(count):
        await side.publish(1)
        due += 1 / rate
        await asyncio.sleep(max(0, due - time.monotonic()))


async def _single(figures: Figures, plan: Plan, folder: Path, name: str, side: Side, clients: int) -> None:
    count = _count(plan, clients)
    async with load(folder, side.port, side.path, clients, events=count) as running:
        await asyncio.sleep(_SETTLE_S)
        before = cpu_s(side.pid)
        await _steadily(side, _rate(clients), count)
        counted = await running.counted()
        used = cpu_s(side.pid) - before
    if counted.events < count * clients:
        print(f"    ({counted.events:,} of {count * clients:,} events came)", flush=True)
    if counted.events < count * clients / 2:
        raise RuntimeError(f"{counted.events:,} of {count * clients:,} events came to {clients:,} clients")
    figures.add(SINGLE, "CPU us/delivery", f"{clients:,} clients", name, used / counted.events * 1e6)


async def _latency(figures: Figures, plan: Plan, folder: Path, name: str, side: Side) -> None:
    count = round(50 * plan.latency_s)
    async with load(folder, side.port, side.path, 1000, events=count) as running:
        await asyncio.sleep(_SETTLE_S)
        await _steadily(side, 50, count)
        counted = await running.counted()
    figures.add(LATENCY, "p50 ms", "", name, counted.p50_ms)
    figures.add(LATENCY, "p99 ms", "", name, counted.p99_ms)
    figures.add(GENERATOR, "share of its core", "50 events/s", name, counted.cpu_s / max(counted.span_s, 1e-3))


async def _burst(figures: Figures, plan: Plan, folder: Path, name: str, side: Side) -> None:
    clients, probe = plan.burst_clients, 10
    counted, elapsed, _ = await _burst_of(probe, clients, folder, side)
    rate = 5 * counted.events / elapsed  # a longer burst goes faster
    events = max(probe, min(3000, round(rate * plan.burst_s / clients)))
    counted, elapsed, used = await _burst_of(events, clients, folder, side)
    figures.add(BURST, "deliveries/s", f"{clients:,} clients", name, counted.events / elapsed)
    figures.add(BURST, "deliveries per CPU second", f"{clients:,} clients", name, counted.events / used)
    figures.add(GENERATOR, "share of its core", "burst", name, counted.cpu_s / elapsed)
    if counted.events != events * clients:
        print(f"    ({counted.events:,} of {events * clients:,} events came)", flush=True)


async def _burst_of(events: int, clients: int, folder: Path, side: Side) -> tuple[Counted, float, float]:
    """Return what came, within how many seconds (from the first delivery to the last), and the server's CPU seconds."""
    async with load(folder, side.port, side.path, clients, events=events) as running:
        await asyncio.sleep(_SETTLE_S)
        before = cpu_s(side.pid)
        await side.publish(events)
        counted = await running.counted()
    return counted, max(counted.span_s, 1e-3), cpu_s(side.pid) - before


async def _replay(figures: Figures, plan: Plan, folder: Path, name: str, side: Side) -> None:
    cursor = await _cursor(side)
    await side.publish(10)
    await asyncio.sleep(_SETTLE_S)
    before = cpu_s(side.pid)
    async with load(folder, side.port, side.path, plan.idle, events=10, cursor=cursor) as clients:
        connected, counted = clients.connected, await clients.counted()
        used = cpu_s(side.pid) - before
    figures.add(ACCEPT, "connections/s", "replay of 10", name, connected.connected / connected.answered_s)
    figures.add(ACCEPT, "CPU us/connection", "replay of 10", name, used / connected.connected * 1e6)
    if counted.events != 10 * plan.idle:
        print(f"    ({counted.events:,} of {10 * plan.idle:,} events came)", flush=True)


async def _cursor(side: Side) -> str:
    """Return the id of an event that comes now."""
    reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
    writer.write(f"GET {side.path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await side.publish(1)
    block = await reader.readuntil(b'"t":')
    cursor = block.rpartition(b"id: ")[2].partition(b"\n")[0].strip().decode()
    writer.close()
    await writer.wait_closed()
    return cursor
