"""Processes under measure: which core they have, what they use, and how they end."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SERVER, GENERATOR = 0, (os.cpu_count() or 1) - 1
"""The cores: servers under measure have the first for themselves, all else the last."""
_START_S, _END_S = 20.0, 10.0


def pin(pid: int, core: int) -> None:
    """Give a process, with all its threads and children, one core."""
    for process in family(pid):
        for task in Path(f"/proc/{process}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *[each for child in children for each in family(int(child))]]


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process and its descendants have used."""
    total = 0
    for process in family(pid):
        for task in Path(f"/proc/{process}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def rss_kb(pid: int) -> float:
    """Return the memory that a process and its descendants have resident, what they share counted once."""
    text = [Path(f"/proc/{process}/smaps_rollup").read_text() for process in family(pid)]
    return sum(float(part.partition("\nPss:")[2].split()[0]) for part in text)


def kernel_kb() -> float:
    """Return the memory that the kernel has given to its own objects, sockets among them, on the whole machine."""
    return float(Path("/proc/meminfo").read_text().partition("\nSlab:")[2].split()[0])


@contextmanager
def running(command: Sequence[str], core: int, folder: Path, environ: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server on a core for as long as the block lasts."""
    with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command], stdout=log, stderr=log, env={**os.environ, **(environ or {})}, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own: this server's processes and no others
            process.wait(_END_S)


def until(ready: "subprocess.Popen[bytes]", answers: "Iterator[bool]") -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + _START_S
    for answered in answers:
        if answered:
            return
        if ready.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{ready.args!r} did not get ready")
        time.sleep(0.02)
