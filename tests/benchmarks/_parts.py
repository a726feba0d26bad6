"""What is measured of one server; and of the kernel floor, where it says something."""

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks._figures import Figures
from tests.benchmarks._load import Counted, floor, load
from tests.benchmarks._process import cpu_s, kernel_kb, rss_kb
from tests.benchmarks._sides import Side
from tests.support.ports import free_port

SINGLE, BURST, LATENCY, IDLE = "single events", "burst", "50 events/s to 1,000 clients", "idle connections"
ACCEPT, GENERATOR = "accepts", "the load generator's own CPU"
FLOOR = "kernel floor (C)"
_DELIVERIES_PER_S = 20_000
_MOST_RATE = 50
_FEW_CLIENTS, _FEWEST_EVENTS = 1000, 5
_WARM_CLIENTS = 300
_SETTLE_S = 0.3


class Run(NamedTuple):
    """Where figures go, and how much is measured."""

    figures: Figures
    folder: Path
    single_s: float
    latency_s: float
    burst_s: float


async def idle(run: Run, name: str, side: Side, count: int, *, accepts: bool = True) -> None:
    """Measure what connections take that wait. The server has to be fresh: memory that it has had before doesn't grow again."""
    async with load(
        run.folder, side.port, side.path, _WARM_CLIENTS, events=1, at_once=side.at_once
    ):  # what a first connection brings stays
        await side.publish(1)
        await asyncio.sleep(_SETTLE_S)
        before, kernel, used = rss_kb(side.pid), kernel_kb(), cpu_s(side.pid)
        async with load(run.folder, side.port, side.path, count, events=1, at_once=side.at_once) as clients:
            used = cpu_s(side.pid) - used
            await asyncio.sleep(_SETTLE_S)
            add, size = run.figures.add, _clients(count)
            add(IDLE, "RSS KB/connection", size, name, (rss_kb(side.pid) - before) / count)
            add(IDLE, "kernel KB/connection", size, name, (kernel_kb() - kernel) / count / 2)  # both its ends are on this machine
            if accepts:
                add(ACCEPT, "connections/s", "plain", name, count / clients.connected.answered_s)
                add(ACCEPT, "CPU us/connection", "plain", name, used / count * 1e6)
                add(GENERATOR, "share of its core", "accepts", name, clients.connected.cpu_s / clients.connected.answered_s)
    await asyncio.sleep(_SETTLE_S)


async def single(run: Run, name: str, side: Side | None, clients: int) -> None:
    """Measure events that come one at a time; the floor's, where there is no server."""
    rate = min(_MOST_RATE, _DELIVERIES_PER_S / clients)
    count = max(_FEWEST_EVENTS, round(rate * run.single_s * (2 if clients < _FEW_CLIENTS else 1)))
    if side:
        cost = await _cost(run, side, clients, rate, count)
    else:
        cost = (await floor(run.folder, free_port(), clients, rate, count / rate))[0].cpu_us_per_delivery
    run.figures.add(SINGLE, "CPU us/delivery", _clients(clients), name, cost)


async def _cost(run: Run, side: Side, clients: int, rate: float, count: int) -> float:
    async with load(run.folder, side.port, side.path, clients, events=count, at_once=side.at_once) as running:
        await asyncio.sleep(_SETTLE_S)
        before = cpu_s(side.pid)
        await _steadily(side, rate, count)
        counted = await running.counted()
        used = cpu_s(side.pid) - before
    _compare(counted, count * clients)
    if counted.events < count * clients / 2:
        raise RuntimeError(f"{counted.events:,} of {count * clients:,} events came")
    return used / counted.events * 1e6


async def latency(run: Run, name: str, side: Side | None) -> None:
    count = round(50 * run.latency_s)
    if side:
        async with load(run.folder, side.port, side.path, 1000, events=count, at_once=side.at_once) as running:
            await asyncio.sleep(_SETTLE_S)
            await _steadily(side, 50, count)
            counted = await running.counted()
        run.figures.add(GENERATOR, "share of its core", "50 events/s", name, counted.cpu_s / max(counted.span_s, 1e-3))
    else:
        _, counted = await floor(run.folder, free_port(), 1000, 50, run.latency_s)
    run.figures.add(LATENCY, "p50 ms", "", name, counted.p50_ms)
    run.figures.add(LATENCY, "p99 ms", "", name, counted.p99_ms)


async def burst(run: Run, name: str, side: Side, clients: int) -> None:
    probe = 10
    counted, elapsed, _ = await _burst_of(probe, clients, run.folder, side)
    rate = 5 * counted.events / elapsed  # a longer burst goes faster
    events = max(probe, min(3000, round(rate * run.burst_s / clients)))
    counted, elapsed, used = await _burst_of(events, clients, run.folder, side)
    run.figures.add(BURST, "deliveries/s", _clients(clients), name, counted.events / elapsed)
    run.figures.add(BURST, "deliveries per CPU second", _clients(clients), name, counted.events / used)
    run.figures.add(GENERATOR, "share of its core", "burst", name, counted.cpu_s / elapsed)
    _compare(counted, events * clients)


async def _burst_of(events: int, clients: int, folder: Path, side: Side) -> tuple[Counted, float, float]:
    """Return what came, within how many seconds (from the first delivery to the last), and the server's CPU seconds."""
    async with load(folder, side.port, side.path, clients, events=events, at_once=side.at_once) as running:
        await asyncio.sleep(_SETTLE_S)
        before = cpu_s(side.pid)
        await side.publish(events)
        counted = await running.counted()
    return counted, max(counted.span_s, 1e-3), cpu_s(side.pid) - before


async def replay(run: Run, name: str, side: Side, count: int) -> None:
    cursor = await _cursor(side)
    await side.publish(10)
    await asyncio.sleep(_SETTLE_S)
    before = cpu_s(side.pid)
    async with load(run.folder, side.port, side.path, count, events=10, cursor=cursor, at_once=side.at_once) as clients:
        counted = await clients.counted()
        used = cpu_s(side.pid) - before
    run.figures.add(ACCEPT, "connections/s", "replay of 10", name, count / clients.connected.answered_s)
    run.figures.add(ACCEPT, "CPU us/connection", "replay of 10", name, used / count * 1e6)
    _compare(counted, 10 * count)


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


async def _steadily(side: Side, rate: float, count: int) -> None:
    due = time.monotonic()
    for _ in range(count):
        await side.publish(1)
        due += 1 / rate
        await asyncio.sleep(max(0, due - time.monotonic()))


def _compare(counted: Counted, expected: int) -> None:
    if counted.events != expected:
        print(f"    ({counted.events:,} of {expected:,} events came)", flush=True)


def _clients(count: int) -> str:
    return f"{count:,} clients"
