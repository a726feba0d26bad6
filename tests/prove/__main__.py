"""`python -m tests.prove`: the long tier. Runs trials, one after another, and keeps their record."""

import argparse
import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import uvloop

from tests.prove.frame import Plan, Trial, carry_out
from tests.prove.page import PAGE, page
from tests.prove.progress import Bar
from tests.prove.record import alone, note
from tests.prove.trials import TRIALS
from tests.support.orphans import guard


def main() -> int:
    arguments = _arguments()
    trials = [trial for trial in TRIALS if not arguments.only or trial.name in arguments.only]
    if arguments.list:
        _show(trials)
        return 0
    watching = guard()
    try:
        bad = [trial.name for trial in trials if not _passes(trial, arguments)]
    except KeyboardInterrupt:
        print("\nstopped; trials that had ended are in the record" if arguments.write else "\nstopped", file=sys.stderr)
        return 130
    finally:
        _end_children(but=watching)
    if bad:
        print(f"failed: {', '.join(bad)}", file=sys.stderr)
    return 1 if bad else 0


def _arguments() -> argparse.Namespace:
    names = [trial.name for trial in TRIALS]
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names, default=[], metavar="NAME", help="leave the others out")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default: 1)")
    parser.add_argument("--scale", type=float, default=1, help="do this share of each trial (default: 1)")
    parser.add_argument("--amount", type=int, default=0, help="do so many of a trial's units, whatever the scale")
    parser.add_argument("--write", action="store_true", help="put whole runs into the record, and write docs/internals/reliability.md")
    parser.add_argument("--list", action="store_true", help="show the trials, and how long each takes")
    return parser.parse_args()


def _show(trials: Sequence[Trial]) -> None:
    for trial in trials:
        print(f"{trial.name:24} {trial.full:>8,} {trial.unit:12} about {trial.minutes:g} min   {trial.does}")


def _end_children(but: int) -> None:
    """Kill what a trial that was broken off twice has left running, but the guard, which then ends what those had started.

    Where there is no /proc, nothing can be found.
    """
    for children in Path("/proc/self/task").glob("*/children"):  # a child is listed with the thread that started it
        with suppress(OSError):  # the thread has ended, or the child
            for pid in {*map(int, children.read_text().split())} - {but}:
                os.kill(pid, signal.SIGKILL)


def _passes(trial: Trial, arguments: argparse.Namespace) -> bool:
    plan = Plan(arguments.amount or max(1, round(trial.full * arguments.scale)), arguments.seed)
    bar = Bar(trial, plan.amount)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            outcome = runner.run(carry_out(trial, plan, bar.show))
    except Exception:  # noqa: BLE001 - the other trials are still to run
        traceback.print_exc()
        return False
    bar.finish(outcome.count)
    for name, value in outcome.count.figures.items():
        print(f"  {name}: {value}")
    if arguments.write and plan.amount >= trial.full:
        with alone():
            PAGE.write_text(page(note(trial.name, plan, outcome)))
    if not trial.passed(outcome.count):
        print(f"  {trial.name}, seed {plan.seed}: " + ("no harm was found" if trial.twin else repr(outcome.count)), file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
