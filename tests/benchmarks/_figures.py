"""What was measured: one figure per side and size, with the value of each round."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec


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

    def add(self, bench: str, measure: str, size: str, side: str, value: float) -> None:
        """Note one round's value, and say it at once."""
        self._values.setdefault((bench, measure, size, side), []).append(value)
        print(f"  {side:28} {size:16} {measure:34} {shown(value):>12}", flush=True)

    def all(self) -> list[Figure]:
        return [Figure(*names, values=tuple(values)) for names, values in self._values.items()]


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


def write_json(path: Path, figures: Sequence[Figure], about: dict[str, str]) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode({"about": about, "figures": figures})))
