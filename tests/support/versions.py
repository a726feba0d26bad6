"""Versions of tailrace that run beside each other: an earlier one from this repository's history, this one, and a later one."""

import io
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from tests.support.extras import build_wheel
from tests.support.service import Service

_ROOT = Path(__file__).parents[2]
_PACKAGES = "wire", "log", "push", "cli", "edge", "ingest", "worker"
_WHERE = f"import importlib as i; print(*[i.import_module('tailrace.' + name).__file__ for name in {_PACKAGES}], sep='\\n')"


@dataclass(frozen=True)
class Version:
    """How the commands of a version are run: by an interpreter that finds it, and perhaps through another module than the command line."""

    python: Path = Path(sys.executable)
    module: str = "tailrace.cli"

    def service(self, command: str, *arguments: str) -> Service:
        service = Service(command, *arguments, python=self.python)
        service._command = (str(self.python), "-m", self.module, *service._command[3:])
        return service

    async def run(self, *arguments: str) -> list[str]:
        """Run a command of the command line to its end, and return the lines that it printed."""
        done = await anyio.run_process([self.python, "-m", "tailrace.cli", *arguments])
        return done.stdout.decode().splitlines()


CURRENT, LATER = Version(), Version(module="tests.support.later")


def earlier(commit: str, folder: Path) -> Version:
    """Build a commit's wheel and install it into an environment of its own, which has this one's dependencies.

    Skips the test where the commit can't be had: in a shallow clone, or outside of a repository.
    """
    if (
        not shutil.which("git")
        or subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=_ROOT, check=False, capture_output=True).returncode
    ):
        pytest.skip(f"commit {commit[:7]} is not in this clone: fetch the whole history")
    source, home = folder / "source", folder / "environment"
    archive = subprocess.run(["git", "archive", "--format=tar", commit], cwd=_ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(source, filter="data")
    wheel = build_wheel(folder, source)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    install = ("install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-compile")
    subprocess.run([sys.executable, "-m", "pip", "--python", home / "bin" / "python", *install, wheel], check=True)
    # Python reads no .pth files of a folder that a .pth file names, so this one's editable install isn't found.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    version = Version(home / "bin" / "python")
    found = subprocess.run([version.python, "-c", _WHERE], capture_output=True, text=True, check=True).stdout.splitlines()
    assert all(Path(file).is_relative_to(packages) for file in found), found
    return version
