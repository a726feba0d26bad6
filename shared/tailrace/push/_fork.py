"""Forks: a child process leaves alone what its parent had made, and makes its own."""

import ctypes
import os
import threading
from abc import ABC, abstractmethod
from weakref import WeakSet


class ProcessBound(ABC):
    """Has connections, loops or threads, which belong to the process that made them.

    A fork copies such objects, and the copies share sockets and the epoll instance of the loop with the originals. A child that closed one
    of them, or only let it be collected (a StreamWriter closes itself then, and so does a loop), would remove the parent's socket from the
    parent's epoll: the parent would wait for answers that it never sees. So the child keeps the copies, unused, until it ends, and
    starts with nothing.

    That has to happen in two places. `os.register_at_fork` reaches a child that never uses the object and ends in the ordinary way. The
    process id, compared at each use, reaches a child of a program that forks without Python's knowledge, as uWSGI does by default.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        _bound.add(self)

    @abstractmethod
    def _start_afresh(self) -> object:
        """Start with nothing, as in a new process, and return what was there before."""

    def _check_process(self) -> None:
        if self._process == os.getpid():
            return
        with _renewing:  # threads of a child may be here together
            if self._process != os.getpid():
                _keep_until_exit(self._start_afresh())
                self._process = os.getpid()


_bound: WeakSet[ProcessBound] = WeakSet()
_renewing = threading.Lock()


def _keep_until_exit(left: object) -> None:
    """Hold a reference that nothing drops: at exit, the interpreter clears modules, and with them any list of ours."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(left))


def _forked() -> None:
    global _renewing  # noqa: PLW0603 - another thread of the parent may have held the lock
    _renewing = threading.Lock()
    for bound in list(_bound):
        bound._check_process()  # noqa: SLF001 - this module's


if hasattr(os, "register_at_fork"):  # not on Windows, which doesn't fork
    os.register_at_fork(after_in_child=_forked)
