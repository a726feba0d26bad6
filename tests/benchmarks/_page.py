"""The report: a table on the terminal, and docs/benchmarks.md with its plots."""

import subprocess
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from tests.benchmarks import delivery, ingestion
from tests.benchmarks._figures import Figure, rows
from tests.benchmarks._sides import peer_python

_DOCS = Path(__file__).parents[2] / "docs"
_BASES = {
    delivery.SINGLE: delivery.FLOOR,
    delivery.LATENCY: "nginx + nchan",
    delivery.BURST: "nginx + nchan",
    delivery.IDLE: "nginx + nchan",
    delivery.ACCEPT: "nginx + nchan",
    ingestion.JOBS: ingestion.ARQ,
    ingestion.APPEND: ingestion.ARQ,
}
_HEAD = ("measure", "size", "side", "median", "rounds", "ratio")
_INTRO = """# Benchmarks

What `make bench` measured; `make bench BENCH="--write"` writes this page anew. Compare ratios, not absolute numbers: all sides ran on one
machine, one after another in each round. The server under measure has one core for itself; clients, producers and Redis share the other.
The load generator and the kernel floor are C programs in `tests/benchmarks`. "Kernel floor" is a loop of `write()` over the same
connections, which no server of single events can undercut; where one seems to, it has joined events that came close together into one
write. A ratio is to the side whose ratio is 1. Pushpin takes a minute a round and is measured with `--full`.
"""
_METHOD = """## How each is measured

- **Single events**: events of about 150 bytes at a steady rate (20,000 deliveries a second in all, 50 events a second at most), and the
  server's CPU time (user and system, from the scheduler's own count) divided by what the clients received.
- **Burst**: events are put in as fast as their way in allows, and the clock runs from the first to the last delivery. Each side gets a
  burst that lasts about as long; Pushpin drops events, and only those that came are counted.
- **Latency**: from before the event is put in (appended to Redis, or posted) until the client has read it; clients take one core, too.
- **Idle connections**: growth of the resident memory (shared pages counted once) from 300 connections, divided by the connections added.
- **Accepts**: 500 connections at a time wait for their first bytes; with replay, all come with one `Last-Event-ID`, ten events old.
- **Jobs**: a queue filled beforehand, a worker process on one core, Valkey with AOF (everysec) on the other; the rate in
  the middle of the run.
  Stock arq runs a function that validates the same push and appends it with one XADD, without history, receipt or order; "tuned" is
  `poll_delay=0.01, max_jobs=200, queue_read_limit=1000, keep_result=0`.
- **Idle latency**: one job at a time; until a reader that waits on the log has the entry, or the client at the edge has the event.
"""


def table(figures: Sequence[Figure], *, markdown: bool = False) -> str:
    """Lay out all figures, grouped by benchmark."""
    parts = []
    for bench, group in groupby(sorted(figures, key=lambda figure: _order(figures, figure)), key=lambda figure: figure.bench):
        columns = len(_HEAD) if bench in _BASES else len(_HEAD) - 1
        lines = [line[:columns] for line in (_HEAD, *rows(list(group), _BASES.get(bench, "")))]
        parts.append(f"## {bench[0].upper()}{bench[1:]}\n\n" + (_markdown(lines) if markdown else _aligned(lines)))
    return "\n\n".join(parts)


def _order(figures: Sequence[Figure], figure: Figure) -> tuple[int, int, int]:
    benches = list(dict.fromkeys([each.bench for each in figures]))
    measures = list(dict.fromkeys([each.measure for each in figures]))
    sizes = list(dict.fromkeys([each.size for each in figures]))
    return benches.index(figure.bench), measures.index(figure.measure), sizes.index(figure.size)


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, _rule(len(lines[0])), *body])


def _rule(columns: int) -> str:
    return "|" + "---|" * 3 + "--:|" * (columns - 3)


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def write_page(figures: Sequence[Figure], about: dict[str, str]) -> None:
    """Write docs/benchmarks.md and docs/images/bench-*.png. Raises Missing: no matplotlib."""
    images = _DOCS / "images"
    images.mkdir(exist_ok=True)
    plots = [
        ("single", delivery.SINGLE, "CPU us/delivery", "CPU time per delivery, single events (us; less is better)"),
        ("burst", delivery.BURST, "deliveries/s", "Deliveries a second in a burst, 1,000 clients (more is better)"),
        ("memory", delivery.IDLE, "RSS KB/connection", "Memory per idle connection (KB; less is better)"),
        ("jobs", ingestion.JOBS, "jobs/s", "Jobs a second in one worker process (more is better)"),
    ]
    shown = [
        {"file": str(images / f"bench-{name}.png"), "title": title, "bars": _bars(figures, bench, measure)}
        for name, bench, measure, title in plots
    ]
    command = [peer_python(), str(Path(__file__).parent / "peers" / "plot.py")]
    subprocess.run(command, input=msgspec.json.encode([plot for plot in shown if plot["bars"]]), check=True)
    facts = "\n".join(f"- {name}: {value}" for name, value in about.items())
    pictures = "\n".join(f"![{title}](images/bench-{name}.png)" for name, bench, measure, title in plots if _bars(figures, bench, measure))
    text = "\n".join([_INTRO, facts, "", pictures, "", table(figures, markdown=True), "", _METHOD])
    (_DOCS / "benchmarks.md").write_text(text)


def _bars(figures: Sequence[Figure], bench: str, measure: str) -> list[tuple[str, str, float]]:
    return [(figure.side, figure.size, figure.median) for figure in figures if (figure.bench, figure.measure) == (bench, measure)]
