"""Half of all clients stop reading: nobody else notices, each costs little, and none misses anything without being told."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import msgspec
from redis.asyncio import Redis

from tailrace.events import LogWriter, NewEvent
from tailrace.redis import connect
from tailrace.wire import Keys, encode_json_block
from tests.benchmarks._load import Connected, Counted, compiled
from tests.prove.frame import PATIENCE_S, Count, Plan, Trial
from tests.prove.load import Crowd
from tests.prove.site import Site, running, together
from tests.support.proxy import need
from tests.support.steady import SteadyClient
from tests.support.wait import wait_until

ROOM, RATE, FILLER = "room:1", 50, "x" * 500
_STALL_S_EACH = 0.6
"""Seconds of stall for each stalled client: 300 s for 500."""
_FLAGS = ("--retry-ms", "100", "--stall-s", "3600", "--ring-entries", "200")
"""Nobody is cut for making no progress, so that they cost what they can; then they are out of the ring, and are cut."""
_ENOUGH, _MOST_KIB = 100, 64
"""What few clients cost is lost in what the edge itself takes."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Appending:
    """Appends numbered events with the time in them, which the generator reads."""

    def __init__(self, redis: Redis) -> None:
        self._writer = LogWriter(redis, Keys(), 0)
        self.accepted: dict[str, list[int]] = {ROOM: []}

    def owed(self) -> dict[str, int]:
        return {ROOM: len(self.accepted[ROOM])}

    async def run(self) -> None:
        due = time.monotonic()
        while True:
            await asyncio.sleep(due - time.monotonic())
            due = max(due + 1 / RATE, time.monotonic())  # what is late isn't made up for: that would be a burst
            number = len(self.accepted[ROOM])
            data = b'{"n":%d,"t":%f,"filler":"%s"}' % (number, time.time(), FILLER.encode())
            self.accepted[ROOM].append(number)
            await self._writer.append([NewEvent("", ROOM, encode_json_block("message", data))])


async def run(plan: Plan) -> AsyncIterator[Count]:
    need("cc")
    stall_s = max(5, plan.amount * _STALL_S_EACH)
    async with running(edges=_FLAGS) as site, connect(site.redis.url, timeout_s=PATIENCE_S) as redis:
        with tempfile.TemporaryDirectory(prefix="tailrace-prove-") as folder:
            appending = Appending(redis)
            async with together(appending.run):
                before = await _healthy(Path(folder), site, plan.amount, stall_s / 5)
                stalled, figures = await _stalled(Path(folder), site, plan.amount, stall_s, appending)
                after = await _healthy(Path(folder), site, plan.amount, stall_s / 5)
    figures["healthy p99 ms, nobody stalled (before, after)"] = f"{before.p99_ms:.2f}, {after.p99_ms:.2f}"
    yield stalled + Count(done=plan.amount, figures=figures)


async def _healthy(folder: Path, site: Site, clients: int, seconds: float) -> Counted:
    """Read with so many clients, each at once, and measure how late events come."""
    command = [compiled("sseload", folder), site.edges[0].url.rpartition(":")[2], f"/sse?channel={ROOM}", str(clients), "1000000"]
    process = await asyncio.create_subprocess_exec(*command, str(seconds), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        connected, counted = [await process.stdout.readline() for _ in range(2)]
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if msgspec.json.decode(connected, type=Connected).connected != clients:
        raise RuntimeError("not all of the healthy clients were let in")
    return msgspec.json.decode(counted, type=Counted)


async def _stalled(folder: Path, site: Site, count: int, stall_s: float, appending: Appending) -> tuple[Count, dict[str, float | str]]:
    pid = site.edges[0].pid
    clients = [SteadyClient(site.edges, [ROOM], owed=appending.owed, receive_bytes=4096) for _ in range(count)]
    async with together(*[client.run for client in clients]):
        await wait_until(lambda: all(client.connects for client in clients), PATIENCE_S)
        ours, kernel = _rss(pid), _kernel()
        for client in clients:
            if client.stream is not None:
                client.stream.stall(stalled=True)
        healthy = await _healthy(folder, site, count, stall_s)
        ours_each, kernel_each = (_rss(pid) - ours) / count / 1024, (_kernel() - kernel) / count / 1024
        for client in clients:
            if client.stream is not None:
                client.stream.stall(stalled=False)
        found = await Crowd(clients, appending.accepted).settled()
    told = found.lost - found.silent
    figures: dict[str, float | str] = {
        "stalled for s": stall_s,
        "healthy p99 ms, half stalled": round(healthy.p99_ms, 2),
        "edge's memory KiB for each stalled client": round(ours_each, 1),
        "kernel's memory KiB for each stalled client, both ends": round(kernel_each, 1),
        "came back after the stall": sum([client.connects > 1 for client in clients]),
        "gone meanwhile, and told": told,
    }
    return msgspec.structs.replace(found, lost=found.silent, other=int(count >= _ENOUGH and ours_each > _MOST_KIB)), figures


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def _kernel() -> int:
    """Return the bytes that the kernel holds for all TCP sockets of this machine."""
    line = next(line for line in Path("/proc/net/sockstat").read_text().splitlines() if line.startswith("TCP:"))
    return int(line.split()[-1]) * _PAGE


TRIAL = Trial(
    name="stalls",
    does="a client, one of half of all, reads nothing for five minutes and then goes on: out of the ring it is cut, and resumes",
    unit="stalled clients",
    full=500,
    few=8,
    minutes=8,
    run=run,
    looks_for=("doubled", "reordered", "silent", "forks", "other"),
)
