"""Draws bars and lines; reads what to draw as JSON from stdin. Runs in the peers' environment, which has matplotlib."""

import json
import sys
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found]

mpl.use("agg")
import matplotlib.pyplot as plt  # type: ignore[import-not-found]

_COLOURS = {"kernel": "#b0b0b0", "nginx": "#d98b5f", "Pushpin": "#8d7b9e", "sse": "#9fae6b", "Litestar": "#c9a13b"}
_OURS, _OTHERS = "#0b6e99", "#7fb7be"

Points = list[tuple[str, str, float]]


def colour(side: str) -> str:
    """Give a side the same colour in every plot."""
    if side.startswith("tailrace"):
        return _OURS
    return next((each for start, each in _COLOURS.items() if side.startswith(start)), _OTHERS)


def shown(value: float) -> str:
    return f" {value:,.0f}" if value >= 100 else f" {value:.1f}"


def bars(points: Points) -> Any:
    """Draw a bar for each point, grouped by size."""
    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.32 * len(points)))
    place, ticks = 0.0, []
    for size in dict.fromkeys(size for _, size, _ in points):
        for side, _, value in [point for point in points if point[1] == size]:
            axes.barh(place, value, color=colour(side))
            axes.annotate(shown(value), (value, place), va="center", fontsize=8)
            ticks.append((place, f"{side}, {size}" if size else side))
            place += 1
        place += 0.4
    axes.set_yticks([at for at, _ in ticks], [name for _, name in ticks], fontsize=8)
    axes.invert_yaxis()
    return figure, axes


def lines(points: Points) -> Any:
    """Draw a line for each side, over sizes that begin with a number."""
    figure, axes = plt.subplots(figsize=(8, 3.6))
    for side in dict.fromkeys(side for side, _, _ in points):
        at = [(int(size.split()[0].replace(",", "")), value) for name, size, value in points if name == side]
        axes.plot(*zip(*at, strict=True), marker="o", color=colour(side), label=side, linewidth=2.4 if side.startswith("tailrace") else 1.4)
    sizes = sorted({(int(size.split()[0].replace(",", "")), size) for _, size, _ in points})
    axes.set_xscale("log")
    axes.set_xticks([at for at, _ in sizes], [size for _, size in sizes], fontsize=8)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, frameon=False, ncols=3)
    return figure, axes


for plot in json.load(sys.stdin):
    figure, axes = (lines if plot["lines"] else bars)(plot["points"])
    axes.set_title(plot["title"], fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.tight_layout()
    figure.savefig(plot["file"], dpi=120)
