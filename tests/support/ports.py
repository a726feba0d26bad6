"""Ports for tests' servers: free, and nobody else's while the tests run.

A port that the kernel chose and took back is one of those that it gives to whoever dials out. Until a server binds it, and
again while a test has that server killed, any connection on this machine may get it. So ports here are below the kernel's
range, and a lock on one byte of a file, which ends with the process, keeps other runs of tests from the same ones.
"""

import fcntl
import os
import random
import socket
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

_FIRST, _LAST = 10_000, 32_767
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 1000
_given: set[int] = set()


def free_port() -> int:
    """Give a port that nothing has and that is given nobody else."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """Give the first of so many ports in a row."""
    for _ in range(_TRIES):
        first = random.randrange(_FIRST, _last() - count)
        if all(_take(port) for port in range(first, first + count)):
            return first
    raise RuntimeError(f"no {count} ports in a row are free between {_FIRST} and {_last()}")


def _take(port: int) -> bool:
    """Reserve a port for this process, if it is free on all addresses."""
    if port in _given:
        return False
    with suppress(OSError), socket.socket() as probe:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        _given.add(port)  # even if it turns out to be taken: whoever has it may give it back
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("", port))
        return True
    return False


@cache
def _locks() -> int:
    path = Path(tempfile.gettempdir()) / f"tailrace-test-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


@cache
def _last() -> int:
    """Return the last port below those that the kernel chooses from, where there is room below them."""
    with suppress(OSError):
        lowest = int(_RANGE.read_text().split()[0])
        return lowest - 1 if lowest > 2 * _FIRST else _LAST
    return _LAST
