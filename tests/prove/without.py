"""Workers without one of their protections, to show what it is there for: `python -m tests.prove.without NAME worker ...`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tailrace.events._scripts import script as log_script
from tailrace.queue import script as worker_script
from tests.support.scripts import script_names
from tests.support.service import Service


class Cut(NamedTuple):
    """What is done to a script."""

    script: str
    text: str
    instead: str


PROTECTIONS: dict[str, tuple[Cut, ...]] = {
    "epochs": (
        Cut("commit", "if here ~= epoch then", "if false then"),
        Cut("commit", "if number > last + 1 then", "if here == epoch and number > last + 1 then"),
        Cut("commit", "if number <= last then", "if here == epoch and number <= last then"),
    ),
    "numbers": (
        Cut("commit", "if number > last + 1 then", "if false then"),
        Cut("commit", "if number <= last then", "if false then"),
    ),
    "outcomes": (Cut("raise", "if all[i]:sub(1, 2) == 'o:' then", "if false then"),),
    "turns": (Cut("take", "\nif left then", "\nif left and redis.call('ZCARD', KEYS[2]) == 0 then"),),
}


@contextmanager
def without(protection: str) -> Iterator[None]:
    """Cut a protection out of this process's scripts."""
    kept = [(scripts, dict(scripts.sources)) for scripts in (log_script, worker_script)]
    for script, text, instead in PROTECTIONS[protection] if protection else ():
        scripts = log_script if script in script_names(log_script) else worker_script
        if scripts.source(script).count(text) != 1:
            raise LookupError(f"{script}.lua has another form: it has to have {text!r} once")
        scripts.sources[script] = scripts.source(script).replace(text, instead)
    try:
        yield
    finally:
        for scripts, before in kept:
            scripts.sources.clear()
            scripts.sources.update(before)


class Unprotected(Service):
    """A worker without a protection; with all of them where none is named."""

    def __init__(self, protection: str, *arguments: str) -> None:
        super().__init__("worker", *arguments)
        if protection:
            self._command = (self._command[0], "-m", "tests.prove.without", protection, *self._command[3:])


if __name__ == "__main__":
    from tailrace.cli import main

    with without(sys.argv.pop(1)):
        sys.exit(main())
