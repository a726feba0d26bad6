"""Writes docs/internals/reliability.md from the record: `python -m tests.prove.page`."""

from collections.abc import Iterable, Sequence

from tests.prove.frame import FAULTS, Trial
from tests.prove.record import RECORD, Record, Result, read
from tests.prove.trials import TRIALS

PAGE = RECORD.with_suffix(".md")
_HEAD = """# Reliability

*Written from the record of the long tier ([reliability.json](reliability.json)) by `make prove`; a test fails when it differs.*

What tries to break the [promises](../promises.md), how often it was tried, and what came of it. Everything is real: processes, servers,
kills (`kill -9`), sockets. Each trial is seeded, and `make prove` runs them all again; `make test` runs each of them briefly.

```console
$ make prove PROVE="--list"                             # the trials, and how long each takes
$ make prove PROVE="--only delivery-kills --seed 7"     # one of them, with another seed
$ make prove PROVE="--only delivery-kills --scale 0.1"  # a tenth of it; not put into the record
```

## What was tried

*lost*: accepted, and never seen. *silent*: lost, and the client wasn't told by a `gap` or a `reset`. *forks*: two subscribers saw
different orders. *other*: a process that ended, a goal that was missed, a disagreement with a model. A dash is what a trial can't see.
The *bound* is what a run without any fault says about the rate of faults: with 95 % confidence it is below 3/n.
"""
_TWINS = """## What happens without the protections

A trial that can't fail proves nothing. So each protection is switched off once, in the test alone, and the same checker has to
find the harm.
"""
_FIGURES = "## What was measured on the way\n"
_WHERE = "## When and where\n"
_COLUMNS = {"silent": "silent gaps"}


def page(record: Record, trials: Sequence[Trial] = TRIALS) -> str:
    """Write the page."""
    known = [(trial, record[trial.name]) for trial in trials if trial.name in record]
    proofs = [pair for pair in known if not pair[0].twin]
    twins = [pair for pair in known if pair[0].twin]
    parts = [_HEAD]
    if proofs:
        parts += _table(["what was done", "how often", *_titles(), "bound"], [_proof(*pair) for pair in proofs])
    if twins:
        parts += ["", _TWINS, *_table(["what was switched off", "how often", *_titles()], [_row(*pair) for pair in twins])]
    if figures := [row for pair in known for row in _figures(*pair)]:
        parts += ["", _FIGURES, *_table(["trial", "figure", ""], figures)]
    if known:
        parts += ["", _WHERE, *_table(["trial", "when", "commit", "seed", "took", "where"], [_where(*pair) for pair in known])]
        parts += ["", *_versions(known)]
    return "\n".join([*parts, ""])


def _titles() -> list[str]:
    return [_COLUMNS.get(name, name) for name in FAULTS]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join([cell.replace("|", "\\|") for cell in line]) + " |" for line in lines]


def _row(trial: Trial, result: Result) -> list[str]:
    counts = [f"{getattr(result.count, name):,}" if name in trial.looks_for else "-" for name in FAULTS]
    emphatic = [f"**{count}**" if count not in ("-", "0") else count for count in counts]
    return [trial.does, f"{result.count.done:,} {trial.unit}", *emphatic]


def _proof(trial: Trial, result: Result) -> list[str]:
    clean = not result.count.faults and result.count.done
    return [*_row(trial, result), f"< {bound(result.count.done)}" if clean else "none"]


def bound(clean: int) -> str:
    """Say below which rate of faults so many clean trials leave it, at 95 %: the rule of three."""
    return f"{300 / clean:.2g} %"


def _figures(trial: Trial, result: Result) -> list[list[str]]:
    return [[f"`{trial.name}`", name, _shown(value)] for name, value in result.count.figures.items()]


def _shown(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _where(trial: Trial, result: Result) -> list[str]:
    minutes = f"{result.took_s / 60:.1f} min" if result.took_s >= 60 else f"{result.took_s:.0f} s"
    about = result.about
    return [f"`{trial.name}`", about.date, f"`{about.commit}`", str(result.seed), minutes, about.machine]


def _versions(known: Sequence[tuple[Trial, Result]]) -> list[str]:
    """Say once for all trials that ran with the same versions what these were."""
    trials: dict[str, list[str]] = {}
    for trial, result in known:
        versions = ", ".join([f"{name} {number}" for name, number in sorted(result.about.versions.items())])
        trials.setdefault(versions, []).append(trial.name)
    if len(trials) == 1:
        return [f"With {versions}." for versions in trials]
    return [f"- {versions}: {', '.join([f'`{name}`' for name in names])}" for versions, names in trials.items()]


if __name__ == "__main__":
    PAGE.write_text(page(read()))
    print(f"{PAGE} is written")
