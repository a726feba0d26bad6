"""CPU and memory use, from /proc; other systems report less."""

import os
from contextlib import suppress
from pathlib import Path

Cpu = tuple[int, int] | None
"""Idle and total ticks since boot; None without /proc."""


def read_cpu(stat: Path = Path("/proc/stat")) -> Cpu:
    """Return the idle and total CPU ticks."""
    with suppress(OSError, ValueError, IndexError):
        ticks = [int(word) for word in stat.read_text().splitlines()[0].split()[1:9]]
        return ticks[3] + ticks[4], sum(ticks)
    return None


def cpu_percent(before: Cpu, now: Cpu) -> float | None:
    """Return the CPU use between two readings in per cent; without /proc, the load of the last minute instead."""
    if before and now:
        idle, whole = now[0] - before[0], now[1] - before[1]
        return round(100 * (whole - idle) / whole, 1) if whole > 0 else None
    with suppress(OSError, AttributeError):  # not on Windows
        return round(min(100 * os.getloadavg()[0] / (os.cpu_count() or 1), 100), 1)
    return None


def memory(meminfo: Path = Path("/proc/meminfo")) -> tuple[float | None, float | None]:
    """Return the bytes in use and in total; None if the system doesn't report them."""
    with suppress(OSError, ValueError, KeyError, IndexError):
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        total, free = [int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable")]
        return float(total - free), float(total)
    with suppress(OSError, ValueError, AttributeError):
        return None, float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return None, None
