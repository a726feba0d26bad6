"""What was measured: one figure per side and size, with the value of each round."""

import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from redis.exceptions import RedisError


class Figure(msgspec.Struct, frozen=True):
    """A measure of one side, round by round."""

    bench: str
    measure: str
    """With its unit."""
    size: str
    side: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


class Figures:
    """Collects values in the order in which they are first met."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, str, str], list[float]] = {}
        self.troubles: list[str] = []
        """What couldn't be measured, and why."""
        self.paces_ms: list[float] = []
        """How long the machine took for the same work, before each measure: where others share it, its pace changes."""

    def add(self, bench: str, measure: str, size: str, side: str, value: float) -> None:
        """Note one round's value, and say it at once."""
        self._values.setdefault((bench, measure, size, side), []).append(value)
        print(f"  {side:28} {size:16} {measure:34} {shown(value):>12}", flush=True)

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Go on without a measure that fails: the others are worth having."""
        self.paces_ms.append(_pace_ms())
        try:
            yield
        except (RuntimeError, ValueError, OSError, RedisError) as error:
            self.troubles.append(f"{what}: {str(error) or type(error).__name__}")
            print(f"    FAILED: {self.troubles[-1]}", flush=True)

    def all(self) -> list[Figure]:
        return [Figure(*names, values=tuple(values)) for names, values in self._values.items()]


def _pace_ms() -> float:
    begun = time.process_time()
    sum(number * number for number in range(1_000_000))
    return (time.process_time() - begun) * 1000


def shown(value: float) -> str:
    """Write a figure with as many digits as say something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def rows(figures: Sequence[Figure], base: str) -> Iterable[tuple[str, str, str, str, str, str]]:
    """Lay out figures as rows: measure, size, side, median, range, and the ratio to a side."""
    bases = {(figure.bench, figure.measure, figure.size): figure.median for figure in figures if figure.side == base}
    for figure in figures:
        ratio = figure.median / (bases.get((figure.bench, figure.measure, figure.size)) or figure.median or 1)
        spread = f"{shown(min(figure.values))} - {shown(max(figure.values))}" if figure.values[1:] else ""
        yield figure.measure, figure.size, figure.side, shown(figure.median), spread, f"{shown(ratio)} x"


class Report(msgspec.Struct, frozen=True):
    """All that one run measured."""

    about: dict[str, str]
    figures: list[Figure]

    def median(self, bench: str, measure: str, size: str, side: str) -> float | None:
        """Return a figure, or None where it wasn't measured."""
        wanted = (bench, measure, size, side)
        found = [each for each in self.figures if (each.bench, each.measure, each.size, each.side) == wanted]
        return found[0].median if found else None


def read_report(path: Path) -> Report:
    return msgspec.json.decode(path.read_bytes(), type=Report)


def write_report(path: Path, report: Report) -> None:
    """Write a report, one line a figure."""
    about = msgspec.json.format(msgspec.json.encode(report.about)).decode()
    figures = ",\n".join([msgspec.json.encode(rounded(each)).decode() for each in report.figures])
    path.write_text(f'{{"about": {about},\n"figures": [\n{figures}\n]}}\n')


def rounded(figure: Figure) -> Figure:
    """Keep the digits of a figure that say something."""
    return msgspec.structs.replace(figure, values=tuple([float(f"{value:.4g}") for value in figure.values]))
