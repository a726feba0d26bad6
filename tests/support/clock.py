"""A Redis whose clock can be set, as that of the machine it moves to may be another."""

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.support.redis import RedisServer, executable

_SHIFT = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *ahead_s;

__attribute__((constructor)) static void begin(void) {
  ahead_s = mmap(NULL, 8, PROT_READ, MAP_SHARED, open(getenv("AHEAD_S"), O_RDONLY), 0);
}

int clock_gettime(clockid_t id, struct timespec *now) {
  int result = syscall(SYS_clock_gettime, id, now);
  if (id == CLOCK_REALTIME) now->tv_sec += *ahead_s;
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec precise;
  int result = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return result;
}
"""


class ShiftedRedis(RedisServer):
    """A Redis with a clock of its own; `folder` keeps what it is made of."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None or executable("redis") is None:
            pytest.skip("a C compiler or redis-server is not installed")
        source, library, self._ahead = folder / "shift.c", folder / "shift.so", folder / "ahead"
        source.write_text(_SHIFT)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        self.set_ahead(0)
        super().__init__("redis")
        self.environ = {"LD_PRELOAD": str(library), "AHEAD_S": str(self._ahead)}
        """Gives the same clock to a process that is started with it."""
        self._command = ("env", *[f"{name}={value}" for name, value in self.environ.items()], *self._command)

    def set_ahead(self, seconds: int) -> None:
        """Set the clock so far ahead of this machine's."""
        self._ahead.touch()
        with self._ahead.open("r+b") as file:
            file.truncate(8)
            with mmap.mmap(file.fileno(), 8) as memory:
                memory[:] = struct.pack("q", seconds)
