"""Ends the servers of a run of tests that was killed before it could end them itself."""

import atexit
import os
import subprocess
import sys
from uuid import uuid4

_MARK = "TESTS_OF_TAILRACE"  # whatever a run starts, and what that starts, has its mark
_GUARD = """
import os, signal, sys

def kill_marked(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            marked = sys.argv[1].encode() in file.read().split(b"\\0")
        if marked:
            os.kill(int(pid), signal.SIGKILL)
    except OSError:  # it has ended, or is another user's
        return False
    return marked

sys.stdin.read()
for _ in range(10):  # what is found may have been starting something
    if not any([kill_marked(pid) for pid in os.listdir("/proc") if pid.isdigit()]):
        break
"""


def guard() -> int:
    """Have a process of its own wait for this one's end, however it ends, and kill what is left then of all that it started.

    Returns its id; 0 where there is none.
    """
    if not os.path.isdir("/proc/self"):  # noqa: PTH112 - Linux only; elsewhere orphans stay
        return 0
    os.environ[_MARK] = uuid4().hex
    command = [sys.executable, "-S", "-E", "-c", _GUARD, f"{_MARK}={os.environ[_MARK]}"]
    unmarked = {name: value for name, value in os.environ.items() if name != _MARK}
    watching = subprocess.Popen(command, env=unmarked, stdin=subprocess.PIPE, start_new_session=True)  # which no Ctrl-C reaches
    atexit.register(watching.communicate)
    return watching.pid
