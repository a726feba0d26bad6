"""A later version: this one, but what it writes to Redis holds additions that nobody knows yet.

`python -m tests.support.later worker ...` runs a command of it.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tailrace.cli import main
from tailrace.log import Scripts
from tailrace.log._scripts import script as log_scripts
from tailrace.push._scripts import script as push_scripts
from tailrace.worker._scripts import script as worker_scripts
from tests.support.service import Service

_TELL = "if receipt == '' then return end\n"
_LETTER = "  if type(redis.pcall('XLEN', dead))"
ENTRIES = {"append": ("'h', head, 'b', block", "'h', head .. ' - later', 'b', block, 'later', '1'")}
"""By script: what is written now, and what is written instead."""
OTHERS = {
    "commit": ("field, outcome)", "field, outcome .. '\\nlater')"),
    "ending": (_TELL, _TELL + "  receipt = '{\"later\":[1],' .. receipt:sub(2)\n"),
    "claims": (".. claim.before\n", ".. claim.before .. ' later'\n"),
    "time": ("'%.3f %.3f'", "'%.3f %.3f later'"),
    "enqueue": ("ARGV[i + 2], 'PX'", "'{\"later\":{\"v\":1},' .. ARGV[i + 2]:sub(2), 'PX'"),
}
_BOTH = {"ending": (_LETTER, "  letter[#letter + 1], letter[#letter + 2] = 'later', '1'\n" + _LETTER)}


def later(command: str, *arguments: str) -> Service:
    """Give a service of a later version."""
    service = Service(command, *arguments)
    service._command = (sys.executable, "-m", "tests.support.later", *service._command[3:])
    return service


@contextmanager
def later_scripts(additions: Mapping[str, tuple[str, str]] = ENTRIES) -> Iterator[None]:
    """Let what is made of scripts in the block write as a later version does."""
    before = [(scripts, dict(scripts.files)) for scripts in (log_scripts, push_scripts, worker_scripts)]
    try:
        _change(additions)
        yield
    finally:
        for scripts, files in before:
            scripts.files.update(files)


def _change(additions: Mapping[str, tuple[str, str]]) -> None:
    for name, (now, then) in additions.items():
        scripts = _holder(name)
        if now not in scripts.files[name]:
            raise LookupError(f"{name}.lua doesn't say {now!r}")
        scripts.files[name] = scripts.files[name].replace(now, then)


def _holder(name: str) -> Scripts:
    return next(scripts for scripts in (log_scripts, push_scripts, worker_scripts) if name in scripts.files)


if __name__ == "__main__":
    for each in (ENTRIES, OTHERS, _BOTH):
        _change(each)
    raise SystemExit(main())
