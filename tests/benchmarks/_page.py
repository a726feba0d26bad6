"""The report: a table on the terminal, docs/internals/benchmarks.md with its plots, and the other pages that show its figures."""

import subprocess
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from tests.benchmarks import commits, delivery, ingestion, waiting
from tests.benchmarks._figures import Figure, Report, rows
from tests.benchmarks._goals import goals
from tests.benchmarks._plots import PLOTS, plotted
from tests.benchmarks._scaling import readme, scaling
from tests.benchmarks._sides import peer_python

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
RESULTS = _DOCS / "internals/benchmarks.json"
"""The last run that was written; every figure on the pages comes from it."""
_BASES = {
    delivery.SINGLE: delivery.FLOOR,
    delivery.LATENCY: "nginx + nchan",
    delivery.BURST: "nginx + nchan",
    delivery.IDLE: "nginx + nchan",
    delivery.ACCEPT: "nginx + nchan",
    ingestion.JOBS: ingestion.ARQ,
    ingestion.SEVERAL: ingestion.ARQ,
    ingestion.ENQUEUE: ingestion.ARQ,
    waiting.APPEND: ingestion.ARQ,
    commits.COMMITS: commits.BARE,
}
_HEAD = ("measure", "size", "side", "median", "rounds", "ratio")
_INTRO = """# Benchmarks

What `make bench` measured; `make bench BENCH="--write"` measures anew and writes [benchmarks.json](benchmarks.json), from which
this page, its plots, [scaling](../scaling.md) and the README have their figures. Compare ratios, not absolute numbers: all sides ran on one
machine, in turn in each round. The server under measure has one core for itself; clients, producers and Redis share the other. The
load generator, the reader that waits on a log and the kernel floor are C programs in `tests/benchmarks`. "Kernel floor" is a loop of
`write()` over the same connections, which no server of single events can undercut; where one seems to, it has joined events that came
close together into one write. A ratio is to the side whose ratio is 1: the median of the rounds' ratios; where the two had different
numbers of rounds, the ratio of their medians. Pushpin is measured in one round, with 1,000 clients at most, who come 50 at a time.
"""
_METHOD = """## How each is measured

- **Single events**: events of about 150 bytes at a steady rate (20,000 deliveries a second in all, 50 events a second at most), and
  the server's CPU time (user and system, from the scheduler's own count) divided by what the clients received. The floor, tailrace and
  nchan are measured one right after another at each size, in another order each round.
- **Burst**: events are put in as fast as their way in allows, and the clock runs from the first to the last delivery. Each side gets a
  burst that lasts about as long; Pushpin drops events, and only those that came are counted.
- **Latency**: from before the event is put in (appended to Redis, or posted) until the client has read it; clients take one core, too.
- **Idle connections**: growth of a fresh server's resident memory (shared pages counted once) from 300 connections, divided by the
  connections added.
- **Accepts**: 500 connections at a time wait for their first bytes; with replay, all come with one `Last-Event-ID`, ten events old.
  Pushpin's come 50 at a time: with more, Debian's 1.36 leaves some without an answer.
- **The load generator's own CPU**: its share of its core, which Redis and the producer need too. Near 1, it is what was measured.
- **Channels**: 1,000 events a second, each for one client that has the channel; 1,000 clients share out the channels between them.
- **Edges that read one log**: 2,000 events a second, 50 to a script, while so many readers wait for them.
- **Entries that nobody here asks for**: they are appended while the edge is stopped; the clock runs until it has seen them all.
- **Commits**: what a worker sends, 128 events to as many channels (or one), of 150 bytes each with its history; Redis' own CPU time,
  with its append-only file (everysec) and all its threads. Before, 120 events a channel are there, but 150,000 at most. The bare
  script gets the same events in the same way, and for each does two XADDs under one id and one SET, nothing else.
- **Jobs**: a queue filled beforehand, a worker process on one core, Valkey with AOF (everysec) on the other; the rate in the middle of
  the run. Several worker processes may use all cores, but for those on one queue, which share one. The peers run a function that
  validates the same push and appends it with one XADD, without history, receipt or order. arq "tuned" is `poll_delay=0.01,
  max_jobs=200, queue_read_limit=1000, keep_result=0`; SAQ has `concurrency=100`; taskiq runs on Redis Streams, which acknowledge.
  Commands are all that Redis runs, those inside scripts too; requests are what it reads from sockets.
- **Enqueue**: each side's own client, 500 pushes at a time, one process. Over HTTP, four connections post arrays to the ingest
  service, which has a core for itself.
- **Idle latency**: one job at a time, at random moments, from before the producer's enqueue until the entry is there to read: for a C
  program that does nothing but one blocking `XREAD` after another on a socket of its own, and may run on any core. To the browser:
  until the load generator has it, as in Latency. A job's time: jobs enqueued ahead for times 17 ms apart, and how long after each its
  entry is there.
"""


def table(figures: Sequence[Figure], *, markdown: bool = False) -> str:
    """Lay out all figures, grouped by benchmark."""
    parts = []
    for bench, group in groupby(sorted(figures, key=lambda figure: _order(figures, figure)), key=lambda figure: figure.bench):
        columns = len(_HEAD) if bench in _BASES else len(_HEAD) - 1
        lines = [line[:columns] for line in (_HEAD, *rows(list(group), _BASES.get(bench, "")))]
        parts.append(f"## {bench[0].upper()}{bench[1:]}\n\n" + (_markdown(lines) if markdown else _aligned(lines)))
    return "\n\n".join(parts)


def _order(figures: Sequence[Figure], figure: Figure) -> tuple[int, ...]:
    """Return a figure's place: by benchmark, then by measure, size and side as they came up in it. How it was measured is last."""
    benches = list(dict.fromkeys([each.bench for each in figures]))
    columns = zip(*[(each.measure, each.size, each.side) for each in figures if each.bench == figure.bench], strict=True)
    place = [column.index(word) for column, word in zip(columns, (figure.measure, figure.size, figure.side), strict=True)]
    return (figure.bench == delivery.GENERATOR, benches.index(figure.bench), *place)


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, _rule(len(lines[0])), *body])


def _rule(columns: int) -> str:
    return "|" + "---|" * 3 + "--:|" * (columns - 3)


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def page(report: Report) -> str:
    """Write docs/internals/benchmarks.md."""
    facts = "\n".join([f"- {name}: {value}" for name, value in report.about.items()])
    pictures = "\n".join([f"![{plot.title}](../images/bench-{plot.name}.png)" for plot in PLOTS if plotted(report, plot)])
    return "\n".join([_INTRO, facts, "", pictures, "", goals(report), "", table(report.figures, markdown=True), "", _METHOD])


def pages(report: Report) -> dict[Path, str]:
    """Return every page that shows figures, as it has to be."""
    readme_path = _ROOT / "README.md"
    return {
        _DOCS / "internals/benchmarks.md": page(report),
        _DOCS / "scaling.md": scaling(report),
        readme_path: readme(readme_path.read_text(), report),
    }


def write_pages(report: Report) -> None:
    for path, text in pages(report).items():
        path.write_text(text)


def draw(report: Report) -> None:
    """Write docs/images/bench-*.png. Raises Missing: no matplotlib."""
    shown = [
        {"file": str(_DOCS / "images" / f"bench-{plot.name}.png"), "title": plot.title, "lines": plot.lines, "points": points}
        for plot in PLOTS
        if (points := plotted(report, plot))
    ]
    subprocess.run([peer_python(), str(Path(__file__).parent / "peers" / "plot.py")], input=msgspec.json.encode(shown), check=True)
