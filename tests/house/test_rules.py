"""The rules of architecture bite: each is broken once in a copy of the packages, and import-linter says which."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BROKEN = {
    "Services and workers share nothing but Redis": ("services/tailrace/edge", "import tailrace.worker"),
    "The edge only reads: no arq, no producer": ("services/tailrace/edge", "import arq"),
    "In the edge: window below registry below streams below feed below the engine below http": (
        "services/tailrace/edge/streams",
        "import tailrace.edge.feed",
    ),
    "In the worker: pushes and calls side by side, above what both need": (
        "workers/tailrace/worker/calls",
        "import tailrace.worker.pushes",
    ),
    "The worker serves no HTTP": ("workers/tailrace/worker", "import litestar"),
    "wire below redis and access below events and queue below push and service below cli": (
        "shared/tailrace/queue",
        "import tailrace.events",
    ),
    "access builds on wire alone: no Redis, no server": ("shared/tailrace/access", "import redis"),
    "Nothing below push imports access": ("shared/tailrace/events", "import tailrace.access"),
    "What producers install needs no service": ("shared/tailrace/cli", "import tailrace.edge"),
    "testing starts processes and imports nothing of tailrace": ("shared/tailrace/testing", "import tailrace.cli"),
    "Services and workers need no command line": ("services/tailrace/edge", "import tailrace.cli"),
    "wire is pure: no I/O, no clock, no loop": ("shared/tailrace/wire", "import asyncio"),
}


@pytest.mark.parametrize(("contract", "folder", "line"), [(name, *broken) for name, broken in BROKEN.items()], ids=BROKEN)
def test_a_broken_rule_is_reported(tmp_path: Path, contract: str, folder: str, line: str) -> None:
    for source in ("services", "workers", "shared"):
        shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / folder / "_broken.py").write_text(line + "\n")
    code = (
        "import sys; sys.path[:0] = ['services', 'workers', 'shared']\n"
        "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    )
    done = subprocess.run([sys.executable, "-S", "-c", _with_packages(code)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in " ".join(done.stdout.split())


def test_lines_of_scripts_are_no_longer_than_those_of_modules() -> None:
    scripts = [path for source in ("services", "workers", "shared") for path in (ROOT / source).rglob("*.lua")]
    assert len(scripts) > 20
    longer = [f"{path.name}:{number}" for path in scripts for number, line in enumerate(path.read_text().split("\n"), 1) if len(line) > 140]
    assert longer == []


def _with_packages(code: str) -> str:
    # -S leaves out the editable install, which names the original; all else that is installed is wanted.
    packages = [path for path in sys.path if path.endswith("site-packages")]
    return f"import sys; sys.path += {packages!r}\n{code}"
