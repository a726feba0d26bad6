"""The goals, and what came of each; beside those that aren't met, what stands in the way."""

import msgspec

from tests.benchmarks import delivery, growth, ingestion
from tests.benchmarks._figures import Report, shown

_EDGE, _WORKER = "tailrace edge", "tailrace worker"
_NCHAN, _SSE, _LITESTAR = "nginx + nchan", "sse-starlette", "Litestar"
_CPU, _ACTIVE = "CPU us/delivery", "1,000 channels"


class Goal(msgspec.Struct, frozen=True):
    """A bound for one of our figures, or for its ratio to another."""

    says: str
    most: float | None
    least: float | None
    figure: tuple[str, str, str]
    """Benchmark, measure, size."""
    side: str = _EDGE
    base: tuple[str, str] | None = None
    """Side and size of the figure that ours is divided by."""

    def row(self, report: Report) -> str:
        bench, measure, size = self.figure
        value = report.median(bench, measure, size, self.side)
        if self.base and value is not None:
            base = report.median(bench, measure, self.base[1], self.base[0])
            value = value / base if base else None
        asked = f"<= {self.most:,g}" if self.most is not None else f">= {self.least:,g}"
        if value is None:
            return f"| {self.says} | {asked} | not measured | |"
        met = (self.most is None or value <= self.most) and (self.least is None or value >= self.least)
        return f"| {self.says} | {asked} | {shown(value)} | {'yes' if met else '**no**'} |"


def _over(says: str, most: float, size: str, side: str) -> Goal:
    return Goal(says, most, None, (delivery.SINGLE, _CPU, size), base=(side, size))


def _burst(side: str, least: float) -> Goal:
    figure = delivery.BURST, "deliveries/s", "1,000 clients"
    return Goal(f"deliveries/s in a burst, times {side}'s", None, least, figure, base=(side, "1,000 clients"))


def _grown(size: str) -> Goal:
    figure = delivery.SINGLE, _CPU, size
    return Goal(f"CPU per delivery at {size}, times that at 1,000", 1.15, None, figure, base=(_EDGE, "1,000 clients"))


GOALS = (
    _over("CPU per delivery, 1,000 clients, times the kernel floor", 1.25, "1,000 clients", delivery.FLOOR),
    _over("the same, 5,000 clients", 1.25, "5,000 clients", delivery.FLOOR),
    _over("CPU per delivery, 1,000 clients, times nchan's", 0.9, "1,000 clients", _NCHAN),
    _over("the same, 5,000 clients", 0.9, "5,000 clients", _NCHAN),
    _grown("100 clients"),
    _grown("15,000 clients"),
    Goal(
        "CPU per event for one client, 100,000 channels, times that with one channel",
        1.15,
        None,
        (growth.CHANNELS, _CPU, "100,000 channels"),
        base=(_EDGE, "1 channel"),
    ),
    _burst(_NCHAN, 20),
    _burst(_SSE, 40),
    _burst(_LITESTAR, 40),
    Goal("memory of an idle connection, KB", 3, None, (delivery.IDLE, "RSS KB/connection", "3,000 clients")),
    Goal("p99 at 50 events/s, 1,000 clients, ms", 5.5, None, (delivery.LATENCY, "p99 ms", "")),
    Goal("the same, times nchan's", 1, None, (delivery.LATENCY, "p99 ms", ""), base=(_NCHAN, "")),
    Goal("enqueue -> browser, idle, p50 ms", 3, None, (ingestion.BROWSER, "p50 ms", ""), _WORKER),
    Goal("the same, p99 ms", 10, None, (ingestion.BROWSER, "p99 ms", ""), _WORKER),
    Goal("entries/s that nobody here asks for", None, 300_000, (growth.PASS, "entries/s", _ACTIVE)),
    Goal("connections/s accepted with replay", None, 5000, (delivery.ACCEPT, "connections/s", "replay of 10")),
    Goal("jobs/s, one worker process", None, 30_000, (ingestion.JOBS, "jobs/s", _ACTIVE), _WORKER),
    Goal("the same, times stock arq's", None, 100, (ingestion.JOBS, "jobs/s", _ACTIVE), _WORKER, (ingestion.ARQ, _ACTIVE)),
    Goal("events/s of push_many appended, one worker process", None, 80_000, (ingestion.MANY, "events/s", "100 each"), _WORKER),
    Goal("events/s enqueued in batches", None, 60_000, (ingestion.ENQUEUE, "events/s", "push_many of 1,000"), _WORKER),
    Goal("enqueue -> append, idle, p50 ms", 2, None, (ingestion.APPEND, "p50 ms", ""), _WORKER),
)

_IN_THE_WAY = """What stands in the way of the others, by profiles of November 2026:

- **CPU per delivery at 1,000 clients and fewer**: four fifths of a fan-out are the kernel's `write`, beside which ours costs 1.1 to 1.2
  times the C loop's on the same sockets. What is added is the event's own way: a wake-up, the answer of `XREAD`, a turn of the loop.
  That is some hundred us, which 100 clients share out among them as 5,000 do.
- **p99 at 50 events/s**: the C loop misses it too on this machine, since 1,000 writes of 10 us take 10 ms of one core. The goal
  stems from a machine with four.
- **Accepts with replay**: no command goes to Redis for a replay, and registration is batched. Of what an accept still costs, a third is the
  event loop's and the kernel's (`accept`, `read`, `write`), a fifth reading the request, a fifth telling Redis of the client, a sixth the
  first frames.
- **push_many**: Redis is the larger side, and one core. Of what it does, 95 % are the commits. An event of one costs 68,900 instructions on
  Valkey 9.1 (85,100 before a commit's last ids were read and written together, and one event in eight trimmed its history), 79,200 on
  Redis 7.0. By contract it is two XADDs, to log and history: a fifth of that is the commands themselves, a quarter the append-only file,
  the rest what a call costs a script, in arguments, answer and Lua. Two commits are on their way at a time, so
  Redis doesn't wait for the worker between them.
- **Enqueue to append when idle**: a job comes with its ring, so there is one round trip left, the commit, beside the enqueue and the
  reader's own. Redis shares its core with producer and reader here. The worker's own part is 0.25 ms. (Enqueue to browser is measured
  without that reader.)
"""


def goals(report: Report) -> str:
    """Lay out every goal with its figure."""
    rows = [goal.row(report) for goal in GOALS]
    return "\n".join(["## Goals", "", "| figure | goal | measured | met |", "|---|--:|--:|---|", *rows, "", _IN_THE_WAY])
