"""Which figures are drawn, and how."""

from typing import NamedTuple

from tests.benchmarks import commits, delivery, growth, ingestion, waiting
from tests.benchmarks._figures import Report


class Plot(NamedTuple):
    name: str
    bench: str
    measure: str
    title: str
    lines: bool = False
    """Over the size, on a logarithmic axis, instead of bars."""


PLOTS = (
    Plot(
        "single",
        delivery.SINGLE,
        "CPU us/delivery",
        "CPU time per delivery of single events, over clients (us; less is better)",
        lines=True,
    ),
    Plot(
        "channels", growth.CHANNELS, "CPU us/delivery", "CPU time per event for one client, over channels (us; less is better)", lines=True
    ),
    Plot("burst", delivery.BURST, "deliveries/s", "Deliveries a second in a burst, 1,000 clients (more is better)"),
    Plot("latency", delivery.LATENCY, "p99 ms", "Latency of 50 events a second at 1,000 clients, p99 (ms; less is better)"),
    Plot("memory", delivery.IDLE, "RSS KB/connection", "Memory per idle connection (KB; less is better)"),
    Plot("accepts", delivery.ACCEPT, "connections/s", "Connections accepted a second (more is better)"),
    Plot("jobs", ingestion.JOBS, "jobs/s", "Jobs a second in one worker process (more is better)"),
    Plot("workers", ingestion.SEVERAL, "jobs/s", "Jobs a second in several worker processes that share the cores (more is better)"),
    Plot("requests", ingestion.JOBS, "requests to Redis/job", "Requests to Redis for a job (less is better)"),
    Plot("commits", commits.COMMITS, commits.COST, "Redis' CPU time per event of a commit (us; less is better)"),
    Plot("append", waiting.APPEND, "p50 ms", "From enqueueing to append when idle, p50 (ms; less is better)"),
)


def plotted(report: Report, plot: Plot) -> list[tuple[str, str, float]]:
    """Return side, size and figure of each point."""
    return [(each.side, each.size, each.median) for each in report.figures if (each.bench, each.measure) == (plot.bench, plot.measure)]
