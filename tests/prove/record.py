"""The record of the long tier: docs/internals/reliability.json, one result per trial, the newest run's."""

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from tests.prove.frame import Count, Outcome, Plan
from tests.support.redis import executable

RECORD = Path(__file__).parents[2] / "docs/internals/reliability.json"
_PACKAGES = ("redis", "uvicorn", "uvloop", "litestar", "msgspec", "arq")


class About(msgspec.Struct, frozen=True):
    """Where and with what a trial ran."""

    date: str
    commit: str
    machine: str
    versions: dict[str, str]


class Result(msgspec.Struct, frozen=True):
    """One trial's newest run."""

    seed: int
    count: Count
    took_s: float
    about: About


Record = dict[str, Result]


def read(path: Path = RECORD) -> Record:
    """Read the record; empty where there is none yet."""
    return msgspec.json.decode(path.read_bytes(), type=Record) if path.exists() else {}


def note(name: str, plan: Plan, outcome: Outcome, path: Path = RECORD) -> Record:
    """Put a run into the record, and give all of it."""
    record = {**read(path), name: Result(plan.seed, outcome.count, round(outcome.took_s, 1), about())}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record, order="sorted")) + b"\n")
    return record


@contextmanager
def alone(path: Path = RECORD) -> Iterator[None]:
    """Keep others that write the record or its page waiting meanwhile."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def about() -> About:
    """Describe this machine and what runs on it."""
    return About(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=_commit(),
        machine=f"{os.cpu_count()} x {_processor()}; {platform.system()} {platform.release()}",
        versions={"Python": platform.python_version(), **_servers(), **{name: version(name) for name in _PACKAGES}},
    )


def _commit() -> str:
    """Name the commit; with "-dirty" where more was changed since than this record and its page."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)docs/internals/reliability.*")
    return (_git("rev-parse", "--short", "HEAD") or "unknown") + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=RECORD.parent, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _servers() -> dict[str, str]:
    """Give the versions of the servers that tests start."""
    found = {
        "Valkey": executable("valkey"),
        "Redis": executable("redis"),
        "Caddy": shutil.which("caddy", path=str(Path(sys.executable).parent)),
    }
    versions = {}
    for name, program in found.items():
        if program:
            words = [program, "version" if name == "Caddy" else "--version"]
            said = subprocess.run(words, capture_output=True, text=True, check=False).stdout
            match = re.search(r"v=?(\d[\d.]*)", said)
            versions[name] = match[1] if match else "?"
    return versions
