"""What the machine tells of itself, from /proc; other systems tell less."""

import os
from contextlib import suppress
from pathlib import Path

Cpu = tuple[int, int] | None
"""Ticks spent idle and in all, since the start; None where there is no /proc."""


def read_cpu(stat: Path = Path("/proc/stat")) -> Cpu:
    """Read how long the cores were idle and in all."""
    with suppress(OSError, ValueError, IndexError):
        ticks = [int(word) for word in stat.read_text().splitlines()[0].split()[1:9]]
        return ticks[3] + ticks[4], sum(ticks)
    return None


def cpu_percent(before: Cpu, now: Cpu) -> float | None:
    """Return how busy all cores were in between; without /proc, the load of the last minute in its place."""
    if before and now:
        idle, whole = now[0] - before[0], now[1] - before[1]
        return round(100 * (whole - idle) / whole, 1) if whole > 0 else None
    with suppress(OSError, AttributeError):  # not on Windows
        return round(min(100 * os.getloadavg()[0] / (os.cpu_count() or 1), 100), 1)
    return None


def memory(meminfo: Path = Path("/proc/meminfo")) -> tuple[float | None, float | None]:
    """Return the bytes in use and in all; None where the system doesn't tell."""
    with suppress(OSError, ValueError, KeyError, IndexError):
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        total, free = [int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable")]
        return float(total - free), float(total)
    with suppress(OSError, ValueError, AttributeError):
        return None, float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return None, None
