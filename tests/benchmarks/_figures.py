"""What was measured: one figure per side and size, with the value of each round."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
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

    def over(self, base: "Figure") -> float | None:
        """Return the ratio to another figure: the median of the rounds' ratios if both have the same rounds, else that of the medians."""
        if len(self.values) == len(base.values) and all(base.values):
            return statistics.median([ours / theirs for ours, theirs in zip(self.values, base.values, strict=True)])
        return self.median / base.median if base.median else None


class Missing(Exception):  # noqa: N818 - nothing is wrong, the side just isn't here
    """A side isn't installed."""


class Figures:
    """Collects values in the order in which they are first met."""

    def __init__(self, only: Sequence[str] = (), side: str = "") -> None:
        """Without words for what is wanted, everything is."""
        self._values: dict[tuple[str, str, str, str], list[float]] = {}
        self._only, self._side, self._begun = only, side, time.monotonic()
        self.troubles: list[str] = []
        """What couldn't be measured, and why."""
        self.missing: dict[str, str] = {}
        """Which sides aren't installed, and what they want."""
        self.paces_ms: list[float] = []
        """How long the machine took for the same work, before each measure: where others share it, its pace changes."""

    def wants(self, *benches: str) -> bool:
        """Whether one of these benchmarks was asked for."""
        return not self._only or any(word in bench for word in self._only for bench in benches)

    def has(self, side: str) -> bool:
        """Whether a side was asked for and may be there."""
        return self._side in side and side not in self.missing

    def say(self, what: str) -> None:
        print(f"{what} ({(time.monotonic() - self._begun) / 60:.1f} min)", flush=True)

    def add(self, bench: str, measure: str, size: str, side: str, value: float) -> None:
        """Note one round's value, and say it at once."""
        if self.wants(bench):
            self._values.setdefault((bench, measure, size, side), []).append(value)
            print(f"  {side:28} {size:16} {measure:34} {shown(value):>12}", flush=True)

    async def attempt(
        self, what: str, side: str, measure: Callable[[], Awaitable[object]], *, tries: int = 1, longest_s: float = 90
    ) -> None:
        """Measure, and go on if that fails: the others are worth having."""
        for last in [*[False] * (tries - 1), True]:
            self.paces_ms.append(_pace_ms())
            try:
                async with asyncio.timeout(longest_s):
                    await measure()
            except Missing as error:
                self.missing[side] = str(error)
                print(f"  {side}: not installed: {error}", flush=True)
            except Exception as error:  # noqa: BLE001 - whatever it is, it costs this measure and no more
                trouble = f"{what}, {side}: {str(error) or type(error).__name__}"
                print(f"    FAILED: {trouble}", flush=True)
                if not last:
                    continue
                self.troubles.append(trouble)
            return

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
    bases = {(figure.bench, figure.measure, figure.size): figure for figure in figures if figure.side == base}
    for figure in figures:
        against = bases.get((figure.bench, figure.measure, figure.size))
        ratio = figure.over(against) if against else None
        spread = f"{shown(min(figure.values))} - {shown(max(figure.values))}" if figure.values[1:] else ""
        yield figure.measure, figure.size, figure.side, shown(figure.median), spread, "" if ratio is None else f"{shown(ratio)} x"


class Report(msgspec.Struct, frozen=True):
    """All that one run measured."""

    about: dict[str, str]
    figures: list[Figure]

    def figure(self, bench: str, measure: str, size: str, side: str) -> Figure | None:
        """Return a figure, or None where it wasn't measured."""
        wanted = (bench, measure, size, side)
        return next((each for each in self.figures if (each.bench, each.measure, each.size, each.side) == wanted), None)


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
