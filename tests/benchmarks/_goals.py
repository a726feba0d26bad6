"""The goals, and what came of each; beside those that aren't met, what stands in the way."""

import msgspec

from tests.benchmarks import commits, delivery, growth, ingestion, waiting
from tests.benchmarks._figures import Report, shown
from tests.benchmarks._obstacles import OBSTACLES

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
    blocked: str = ""
    """Which text says what stands in the way, should it not be met."""

    def value(self, report: Report) -> float | None:
        """Return what was measured, as a ratio where the goal is one; None where something wasn't."""
        bench, measure, _ = self.figure
        ours = report.figure(*self.figure, self.side)
        if ours is None or self.base is None:
            return ours.median if ours else None
        base = report.figure(bench, measure, self.base[1], self.base[0])
        return ours.over(base) if base else None

    def met(self, value: float) -> bool:
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    def row(self, value: float | None) -> str:
        asked = f"<= {self.most:,g}" if self.most is not None else f">= {self.least:,g}"
        if value is None:
            return f"| {self.says} | {asked} | not measured | |"
        return f"| {self.says} | {asked} | {shown(value)} | {'yes' if self.met(value) else '**no**'} |"


def _over(says: str, most: float, size: str, side: str, blocked: str = "") -> Goal:
    return Goal(says, most, None, (delivery.SINGLE, _CPU, size), base=(side, size), blocked=blocked)


def _burst(side: str, least: float) -> Goal:
    figure = delivery.BURST, "deliveries/s", "1,000 clients"
    return Goal(f"deliveries/s in a burst, times {side}'s", None, least, figure, base=(side, "1,000 clients"))


def _grown(size: str) -> Goal:
    figure = delivery.SINGLE, _CPU, size
    says, base = f"CPU per delivery at {size}, times that at 1,000", (_EDGE, "1,000 clients")
    return Goal(says, 1.15, None, figure, base=base, blocked="few" if size == "100 clients" else "crowd")


def _channels(size: str) -> Goal:
    says = f"CPU per event for one client, {size}, times that with one channel"
    return Goal(says, 1.15, None, (growth.CHANNELS, _CPU, size), base=(_EDGE, "1 channel"), blocked="channels")


def _events(says: str, least: float, size: str, side: str) -> Goal:
    return Goal(says, None, least, (ingestion.ENQUEUE, "events/s", size), side)


_P50, _P99, _RATE = "p50 ms", "p99 ms", "jobs/s"
_IDLE, _ONE_QUEUE, _TWO = "RSS KB/connection", "2 workers on one queue", "2 workers"
GOALS = (
    _over("CPU per delivery, 1,000 clients, times the kernel floor", 1.25, "1,000 clients", delivery.FLOOR, "cpu"),
    _over("the same, 5,000 clients", 1.25, "5,000 clients", delivery.FLOOR, "cpu"),
    _over("CPU per delivery, 1,000 clients, times nchan's", 0.9, "1,000 clients", _NCHAN),
    _over("the same, 5,000 clients", 0.9, "5,000 clients", _NCHAN),
    _grown("100 clients"),
    _grown("5,000 clients"),
    _grown("15,000 clients"),
    _channels("1,000 channels"),
    _channels("10,000 channels"),
    _channels("100,000 channels"),
    _burst(_NCHAN, 20),
    _burst(_SSE, 40),
    _burst(_LITESTAR, 40),
    Goal("memory of an idle connection, 3,000 clients, KB", 3, None, (delivery.IDLE, _IDLE, "3,000 clients")),
    Goal(
        "the same, 15,000 clients, times that",
        1.15,
        None,
        (delivery.IDLE, _IDLE, "15,000 clients"),
        base=(_EDGE, "3,000 clients"),
    ),
    Goal(
        "memory of a client with 100 channels, times that of one with 10",
        10,
        None,
        (growth.CHANNELS, "RSS KB/client", "100,000 channels"),
        base=(_EDGE, "10,000 channels"),
    ),
    Goal("p99 at 50 events/s, 1,000 clients, ms", 5.5, None, (delivery.LATENCY, _P99, ""), blocked="latency"),
    Goal("the same, times nchan's", 1, None, (delivery.LATENCY, _P99, ""), base=(_NCHAN, "")),
    Goal("enqueue -> browser, idle, p50 ms", 3, None, (waiting.BROWSER, _P50, ""), _WORKER),
    Goal("the same, p99 ms", 10, None, (waiting.BROWSER, _P99, ""), _WORKER),
    Goal("entries/s that nobody here asks for", None, 300_000, (growth.PASS, "entries/s", _ACTIVE)),
    Goal("connections/s accepted with replay", None, 5000, (delivery.ACCEPT, "connections/s", "replay of 10"), blocked="accepts"),
    Goal("jobs/s, one worker process", None, 30_000, (ingestion.JOBS, _RATE, _ACTIVE), _WORKER),
    Goal("the same, times stock arq's", None, 100, (ingestion.JOBS, _RATE, _ACTIVE), _WORKER, (ingestion.ARQ, _ACTIVE)),
    Goal("jobs/s, two workers on one core and queue", None, 30_000, (ingestion.SEVERAL, _RATE, _ONE_QUEUE), _WORKER),
    Goal(
        "jobs/s, two workers with a queue each, times that",
        None,
        1,
        (ingestion.SEVERAL, _RATE, _TWO),
        _WORKER,
        (_WORKER, _ONE_QUEUE),
        "cores",
    ),
    Goal(
        "events/s of push_many appended, one worker process", None, 80_000, (ingestion.MANY, "events/s", "100 each"), _WORKER, None, "many"
    ),
    Goal(
        "Redis' CPU per event of a commit, 1,000 channels, append-only file, us",
        10,
        None,
        (commits.COMMITS, commits.COST, _ACTIVE),
        commits.COMMIT,
        blocked="commits",
    ),
    _events("events/s enqueued by push_many", 60_000, "push_many of 1,000", _WORKER),
    _events("events/s enqueued by arrays over HTTP", 60_000, "arrays of 1,000 over HTTP", ingestion.INGEST),
    Goal("enqueue -> append, idle, p50 ms", 2, None, (waiting.APPEND, _P50, ""), _WORKER, blocked="append"),
    Goal("a job's time -> append, p99 ms", 20, None, (waiting.DUE, _P99, ""), _WORKER),
)
_ELSEWHERE = """A ratio is the median of the rounds' ratios; where the sides had different numbers of rounds, the ratio of their medians.
What is promised of kills, stalls, drains and long runs is measured too, by `make prove`: [reliability](reliability.md)."""


def goals(report: Report) -> str:
    """Lay out every goal with its figure; below, what stands in the way of those that aren't met."""
    values = [(goal, goal.value(report)) for goal in GOALS]
    rows = [goal.row(value) for goal, value in values]
    blocked = dict.fromkeys([goal.blocked for goal, value in values if goal.blocked and value is not None and not goal.met(value)])
    texts = [f"- {OBSTACLES[name]}" for name in blocked]
    if texts:
        texts = ["", "What stands in the way, by profiles of November 2026:", "", *texts]
    return "\n".join(["## Goals", "", "| figure | goal | measured | met |", "|---|--:|--:|---|", *rows, *texts, "", _ELSEWHERE])
