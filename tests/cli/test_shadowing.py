"""Modules in the current folder that have the names of others: no command imports them by mistake."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.cli.running import Up

SCRIPT = str(Path(sys.executable).with_name("tailrace"))
MODULE = sys.executable, "-m", "tailrace.cli"
COMMANDS = sorted(point.name for point in entry_points(group="tailrace.commands"))
FUNCTIONS = """
from tailrace.worker import Event, function
import msgspec

class Greeting(msgspec.Struct):
    name: str

@function
def greet(greeting: Greeting) -> Event:
    return Event("room:1", {"text": f"Hello {greeting.name}"})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("redis", "queue", "token", "email", "arq", "uvicorn", "msgspec"):
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('{name}.py of the current folder')")
    (tmp_path / "greetings.py").write_text(FUNCTIONS)
    return tmp_path


@pytest.mark.parametrize("start", [(SCRIPT,), MODULE], ids=["script", "module"])
def test_no_command_imports_a_module_of_the_current_folder(folder: Path, start: tuple[str, ...]) -> None:
    for words in ([], *([command, "--help"] for command in COMMANDS)):
        done = subprocess.run([*start, *words], cwd=folder, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "not installed" not in done.stdout


@pytest.mark.timeout(120)
def test_up_runs_where_such_modules_stand(folder: Path) -> None:
    running = Up(folder, "--functions", "greetings")
    try:
        running.until("try in two other terminals:")
        done = subprocess.run(
            [SCRIPT, "call", "greet", '{"name": "Ann"}'], cwd=folder, env=running.environ, capture_output=True, text=True, check=False
        )
        assert "Hello Ann" in done.stdout, done.stdout + done.stderr
    finally:
        running.process.kill()
        running.process.wait()


def test_a_module_that_functions_lack_is_no_missing_extra(tmp_path: Path) -> None:
    (tmp_path / "greetings.py").write_text("import no_such_module\n\nclass Settings: ...")
    for name in ("greetings", "greetings.Settings"):
        done = subprocess.run([SCRIPT, "worker", "--functions", name], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr == f"tailrace worker: can't import {name!r}: No module named 'no_such_module'\n"


def test_a_module_that_another_one_hides_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text(FUNCTIONS)
    done = subprocess.run([SCRIPT, "worker", "--functions", "queue"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"'queue' ({sys.modules['queue'].__file__}) has no function" in done.stderr


@pytest.mark.parametrize("broken", ["litestar", "uvicorn"])
def test_a_module_that_another_package_lacks_is_no_missing_extra(tmp_path: Path, broken: str) -> None:
    """A package that is there but doesn't import isn't cured by an extra."""
    (tmp_path / broken).mkdir()
    (tmp_path / broken / "__init__.py").write_text("import no_such_module")
    done = subprocess.run([SCRIPT, "edge"], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install" not in done.stderr
    assert "No module named 'no_such_module'" in done.stderr
    shown = subprocess.run([SCRIPT, "--help"], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert "pip install" not in shown.stdout
