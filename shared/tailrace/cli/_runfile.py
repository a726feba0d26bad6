"""The run file of `tailrace up`: how other commands of the same user find what is running.

Its folder is readable only by its owner. `up` holds a lock on it, so that the file of a killed `up` is ignored.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from tailrace.service import SettingsError

_PATTERN = "up-*.json"


class Running(msgspec.Struct, frozen=True):
    """A running `tailrace up`."""

    redis: str
    """URL of its Redis."""
    prefix: str = "tailrace"


def runtime_folder() -> Path:
    """Create the folder, private to its owner, and return it.

    Raises:
        SettingsError: it can't be created, belongs to another user, or others can read it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    try:
        folder = Path(base) / "tailrace" if base else Path(tempfile.gettempdir()) / f"tailrace-{os.getuid()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        where = "XDG_RUNTIME_DIR" if base else "a folder for temporary files"
        raise SettingsError(f"can't write to {where} ({error.strerror}): set XDG_RUNTIME_DIR to a folder that you own") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise SettingsError(f"{folder} is not a folder that only you can read: remove it, or set XDG_RUNTIME_DIR to one")
    return folder


@contextmanager
def published(running: Running) -> Iterator[None]:
    """Publish what is running for the duration of the block."""
    path = runtime_folder() / f"up-{os.getpid()}.json"
    path.unlink(missing_ok=True)  # left by an earlier process with this id
    handle = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(msgspec.json.encode(running))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def find_running() -> Running | None:
    """Return what this user's newest `tailrace up` published, or None if none runs."""
    for path in sorted(runtime_folder().glob(_PATTERN), key=_age):
        with suppress(FileNotFoundError, msgspec.DecodeError), path.open("rb") as file:  # it is starting or stopping right now
            if _held(file.fileno()):
                return msgspec.json.decode(file.read(), type=Running)
    return None


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except FileNotFoundError:  # it has just stopped
        return 0


def _held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
