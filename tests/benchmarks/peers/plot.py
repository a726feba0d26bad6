"""Draws bar charts; reads what to draw as JSON from stdin. Runs in the peers' environment, which has matplotlib."""

import json
import sys

import matplotlib as mpl  # type: ignore[import-not-found]

mpl.use("agg")
import matplotlib.pyplot as plt  # type: ignore[import-not-found]

_COLOURS = ("#7fb7be", "#d98b5f", "#8d7b9e", "#9fae6b", "#b0b0b0", "#c9a13b")
_OURS = "#0b6e99"

for plot in json.load(sys.stdin):
    sides = list(dict.fromkeys(side for side, _, _ in plot["bars"]))
    sizes = list(dict.fromkeys(size for _, size, _ in plot["bars"]))
    values = {(side, size): value for side, size, value in plot["bars"]}
    figure, axes = plt.subplots(figsize=(8, 0.5 + 0.32 * len(values) + 0.4))
    place, ticks = 0.0, []
    for size in sizes:
        for side in [side for side in sides if (side, size) in values]:
            value = values[side, size]
            axes.barh(place, value, color=_OURS if side.startswith("tailrace") else _COLOURS[sides.index(side) % len(_COLOURS)])
            axes.annotate(f" {value:,.0f}" if value >= 100 else f" {value:.1f}", (value, place), va="center", fontsize=8)
            ticks.append((place, f"{side}, {size}" if size else side))
            place += 1
        place += 0.4
    axes.set_yticks([at for at, _ in ticks], [name for _, name in ticks], fontsize=8)
    axes.invert_yaxis()
    axes.set_title(plot["title"], fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.tight_layout()
    figure.savefig(plot["file"], dpi=120)
