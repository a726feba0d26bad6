"""Who kills a run of tests leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

from tests.support.wait import wait_until_sync

_RUN = """
import subprocess, sys
from tests.support.orphans import guard
guard()
print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid, flush=True)
sys.stdin.read()
"""

_BROKEN_OFF = """
import subprocess
from tests.prove.__main__ import _end_children
from tests.support.orphans import guard
watching = guard()
parent = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
print(parent.stdout.readline(), end="", flush=True)
_end_children(but=watching)
"""


def test_what_a_killed_run_has_started_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", _RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        started = Path("/proc", run.stdout.readline().strip(), "stat")
        assert _lives(started)
        run.kill()
        wait_until_sync(lambda: not _lives(started))


def test_what_the_children_of_a_run_that_is_broken_off_have_started_ends() -> None:
    run = subprocess.run([sys.executable, "-c", _BROKEN_OFF], capture_output=True, text=True, check=True, timeout=30)
    wait_until_sync(lambda: not _lives(Path("/proc", run.stdout.strip(), "stat")))


def _lives(stat: Path) -> bool:
    try:
        return stat.read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False
