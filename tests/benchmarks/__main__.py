"""`python -m tests.benchmarks`: measure against the goals, with peers beside; prints what it measured and asserts no time."""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks import commits, delivery, growth, ingestion, waiting
from tests.benchmarks._figures import Figures, Missing, Report, read_report, write_report
from tests.benchmarks._machine import describe, pace
from tests.benchmarks._page import RESULTS, draw, table, write_pages

_DELIVERY = (
    delivery.Plan(),
    delivery.Plan(rounds=7, other_rounds=4, single_s=4, latency_s=10, idle=5000),
    delivery.Plan(rounds=1, single_s=0.3, sizes=(100, 500), largest=1000, burst_s=0.5, latency_s=0.5, idle=500),
)
_GROWTH = (
    growth.Plan(),
    growth.Plan(rounds=5, events=5000, passed=300_000, read_s=3),
    growth.Plan(rounds=1, channels=(1, 1000), events=1000, passed=20_000, readers=(1, 4), read_s=0.5),
)
_COMMITS = (
    commits.Plan(),
    commits.Plan(rounds=15, commits=300),
    commits.Plan(rounds=1, channels=(1, 100), other_channels=(100,), commits=10, most_before=2000),
)
_INGESTION = (
    ingestion.Plan(),
    ingestion.Plan(rounds=7, peer_rounds=4, jobs=200_000, stock_s=10, enqueues=100_000),
    ingestion.Plan(rounds=1, peer_rounds=1, jobs=5000, channels=(100,), workers=(2,), stock_s=1, enqueues=4000),
)
_WAITING = (
    waiting.Plan(),
    waiting.Plan(rounds=4, idle=200, stock_idle=20, due=500, browsed=3000),
    waiting.Plan(rounds=1, idle=20, stock_idle=2, due=20, browsed=200),
)
"""What is measured by default, with --full, and with --small."""
_GROUPS = {
    "delivery": (delivery.SINGLE, delivery.LATENCY, delivery.IDLE, delivery.ACCEPT, delivery.BURST, delivery.GENERATOR),
    "growth": (growth.CHANNELS, growth.PASS, growth.READERS),
    "ingestion": (
        *(commits.COMMITS, ingestion.JOBS, ingestion.MANY, ingestion.ENQUEUE, ingestion.SEVERAL),
        *(waiting.APPEND, waiting.BROWSER, waiting.DUE),
    ),
}


def main() -> int:
    arguments = _arguments()
    report = read_report(RESULTS) if arguments.pages else _measured(arguments)
    print("\n" + table(report.figures))
    if arguments.json:
        write_report(arguments.json, report)
    if arguments.write or arguments.pages:
        write_report(RESULTS, report)
        write_pages(read_report(RESULTS))  # with its figures rounded, as a test will read it
        try:
            draw(report)
        except (Missing, subprocess.CalledProcessError) as error:
            print(f"no plots: {error}", file=sys.stderr)
            return 1
    return 0


def _measured(arguments: argparse.Namespace) -> Report:
    only = [bench for word in arguments.only for bench in _GROUPS.get(word, (word,))]
    figures, begun = Figures(only, arguments.side), time.monotonic()
    about = describe()
    print(*[f"{name}: {value}" for name, value in about.items()], sep="\n", flush=True)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for the servers, which inherit it
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as folder:
        asyncio.run(_measure(figures, 1 if arguments.full else 2 if arguments.small else 0, Path(folder)))
    about["load while it ran"] = f"{os.getloadavg()[1]:.1f} (5 minutes), of which the benchmark's own processes are a part"
    about["the machine's pace"] = pace(figures.paces_ms)
    about["it took"] = f"{(time.monotonic() - begun) / 60:.1f} minutes"
    about |= {f"without {name}": reason for name, reason in figures.missing.items()}
    if figures.troubles:
        about["not measured"] = "; ".join(figures.troubles)
        print(f"not measured: {about['not measured']}", file=sys.stderr)
    return Report(about, figures.all())


async def _measure(figures: Figures, tier: int, folder: Path) -> None:
    await delivery.measure(figures, _DELIVERY[tier], folder)
    await growth.measure(figures, _GROWTH[tier], folder)
    await commits.measure(figures, _COMMITS[tier])
    await ingestion.measure(figures, _INGESTION[tier], folder)
    await waiting.measure(figures, _WAITING[tier], folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    tier = parser.add_mutually_exclusive_group()
    tier.add_argument("--full", action="store_true", help="more rounds, more clients, longer: half an hour")
    tier.add_argument("--small", action="store_true", help="a minute, to see that everything runs; its figures say little")
    parts = "; ".join(bench for benches in _GROUPS.values() for bench in benches)
    only = f"only parts whose name holds this, or {', '.join(_GROUPS)}; repeatable. Parts: {parts}"
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help=only)
    parser.add_argument("--side", default="", help="only sides whose name holds this; the kernel floor is always there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, with each round's values")
    parser.add_argument("--write", action="store_true", help="write docs/internals/benchmarks.json, and the pages and plots that show it")
    parser.add_argument("--pages", action="store_true", help="measure nothing: write pages and plots from docs/internals/benchmarks.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
