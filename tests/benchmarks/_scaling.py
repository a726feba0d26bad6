"""What the figures mean for a large system: docs/scaling.md and the README's table, filled in from a report."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks import delivery, growth, ingestion, waiting
from tests.benchmarks._figures import Report, shown

_TEMPLATE = Path(__file__).parent / "scaling.md"
_BLOCK = re.compile(r"(?<=<!-- figures: make bench writes them -->\n).*?(?=<!-- end of figures -->)", re.DOTALL)
_EDGE, _WORKER = "tailrace edge", "tailrace worker"
_PEERS = (_EDGE, "nginx + nchan", "Pushpin", "sse-starlette", "Litestar")
_CLIENTS, _PER_PROCESS, _PER_MACHINE = 1_000_000, 40_000, 8
_EVENTS_PER_S, _DELIVERIES_PER_S = 2_000, 500_000
_HEARTBEAT_S, _BUSY = 30, 0.6
_UNMEASURED = math.nan
_ACTIVE = "1,000 channels"
_HEADLINE = (
    ("CPU per delivery, one event at a time, 1,000 clients (us)", delivery.SINGLE, "CPU us/delivery", "1,000 clients"),
    ("deliveries a second in a burst, one core", delivery.BURST, "deliveries/s", "1,000 clients"),
    ("p99 at 50 events/s, 1,000 clients (ms)", delivery.LATENCY, "p99 ms", ""),
    ("memory of an idle connection (KB)", delivery.IDLE, "RSS KB/connection", ""),
    ("connections accepted a second, one core", delivery.ACCEPT, "connections/s", "plain"),
)


def readme(text: str, report: Report) -> str:
    """Put the main figures into the README's text, between its two marks."""
    head = ["| | " + " | ".join(_PEERS) + " |", "|---|" + "--:|" * len(_PEERS)]
    lines = [
        f"| {label} | " + " | ".join([_cell(report, bench, measure, size, side) for side in _PEERS]) + " |"
        for label, bench, measure, size in _HEADLINE
    ]
    ours, stock = (_cell(report, ingestion.JOBS, "jobs/s", _ACTIVE, side) for side in (_WORKER, ingestion.ARQ))
    jobs = (
        f"\nOne worker process: {ours} jobs a second, validated and appended; stock arq: {stock}. From an enqueue to the browser, idle:"
        f" {_cell(report, waiting.BROWSER, 'p50 ms', '', _WORKER)} ms (median).\n"
        f"Measured on {report.about['date'].split()[0]} ({report.about['machine'].split(';')[0]}, one for the server)."
    )
    return _BLOCK.sub(lambda _: "\n" + "\n".join([*head, *lines]) + "\n" + jobs + "\n\n", text)


def scaling(report: Report) -> str:
    """Write docs/scaling.md."""
    text = _TEMPLATE.read_text()
    for name, value in _values(report).items():
        text = text.replace(f"@{name}@", value)
    return text


def _cell(report: Report, bench: str, measure: str, size: str, side: str) -> str:
    value = _figure(report, bench, measure, size, side)
    return "-" if math.isnan(value) else _rough(value)


def _rough(value: float) -> str:
    """Write three digits of what was measured; more would promise what another run doesn't keep."""
    return f"{value:,}" if isinstance(value, int) else shown(float(f"{value:.3g}"))


def _figure(report: Report, bench: str, measure: str, size: str, side: str) -> float:
    """Return a figure; of any size, the first, where none is named."""
    for each in report.figures:
        if (each.bench, each.measure, each.side) == (bench, measure, side) and size in ("", each.size):
            return each.median
    return _UNMEASURED


def _values(report: Report) -> Mapping[str, str]:
    costs = _costs(report)
    numbers = {**costs, **_deployment(costs)}
    return {
        "date": report.about["date"].split()[0],
        "machine": report.about["machine"].split(";")[0],
        "clients": f"{_CLIENTS:,}",
        "events": f"{_EVENTS_PER_S:,}",
        "deliveries": f"{_DELIVERIES_PER_S:,}",
        "per_machine": str(_PER_MACHINE),
        **{name: "?" if math.isnan(value) else _rough(value) for name, value in numbers.items()},
    }


def _costs(report: Report) -> dict[str, float]:
    def edge(bench: str, measure: str, size: str = "") -> float:
        return _figure(report, bench, measure, size, _EDGE)

    few, many = (_figure(report, growth.READERS, "Redis' CPU us/event", size, "Valkey") for size in ("1 edge", "64 edges"))
    return {
        "cpu_1000": edge(delivery.SINGLE, "CPU us/delivery", "1,000 clients"),
        "cpu_15000": edge(delivery.SINGLE, "CPU us/delivery", "15,000 clients"),
        "floor_15000": _figure(report, delivery.SINGLE, "CPU us/delivery", "15,000 clients", delivery.FLOOR),
        "burst": edge(delivery.BURST, "deliveries/s"),
        "p99": edge(delivery.LATENCY, "p99 ms"),
        "memory_kb": edge(delivery.IDLE, "RSS KB/connection"),
        "kernel_kb": edge(delivery.IDLE, "kernel KB/connection"),
        "accepts": edge(delivery.ACCEPT, "connections/s", "plain"),
        "replays": edge(delivery.ACCEPT, "connections/s", "replay of 10"),
        "passed": edge(growth.PASS, "entries per CPU second"),
        "channels_1": edge(growth.CHANNELS, "CPU us/delivery", "1 channel"),
        "channels_100000": edge(growth.CHANNELS, "CPU us/delivery", "100,000 channels"),
        "registered_b": edge(growth.CHANNELS, "Redis' bytes/client", "1,000 channels"),
        "jobs": _figure(report, ingestion.JOBS, "jobs/s", _ACTIVE, _WORKER),
        "job_us": _figure(report, ingestion.JOBS, "Redis' CPU us/job", _ACTIVE, _WORKER),
        "many": _figure(report, ingestion.MANY, "events/s", "", _WORKER),
        "append_us": few,
        "reader_us": (many - few) / 63,
    }


def _deployment(cost: Mapping[str, float]) -> dict[str, float]:
    """Work out the system that docs/scaling.md describes."""
    delivering = _DELIVERIES_PER_S * cost["cpu_15000"] / 1e6
    processes = max(_CLIENTS / _PER_PROCESS, delivering / _BUSY if delivering > 0 else 0)
    machines = math.ceil(processes / _PER_MACHINE) + 1  # one may be gone
    processes = machines * _PER_MACHINE
    each = _CLIENTS / processes
    redis_us = cost["job_us"] + cost["reader_us"] * processes
    left = processes - _PER_MACHINE
    return {
        "machines": machines,
        "processes": processes,
        "per_process": each,
        "after_a_death": _CLIENTS / left,
        "delivering": delivering,
        "busy": delivering / processes * 100,
        "busier": delivering / left * 100,
        "heartbeats": _CLIENTS / _HEARTBEAT_S * cost["cpu_15000"] / 1e6 / processes * 100,
        "reading": _EVENTS_PER_S / cost["passed"] * 100,
        "process_mb": 120 + each * cost["memory_kb"] / 1000,
        "machine_gb": _PER_MACHINE * (0.12 + each * (cost["memory_kb"] + cost["kernel_kb"]) / 1e6),
        "storm_s": _PER_MACHINE * each / left / cost["replays"],
        "restart_s": each / cost["replays"],
        "registry_mb": _CLIENTS * cost["registered_b"] / 1e6,
        "redis_us": redis_us,
        "readers_us": redis_us - cost["job_us"],
        "redis_busy": _EVENTS_PER_S * redis_us / 1e4,
        "redis_most": _BUSY * 1e6 / redis_us,
        "mbit": _DELIVERIES_PER_S * 300 * 8 / 1e6,
    }
