"""A later version: this one, but what it writes to Redis holds additions that nobody knows yet.

`python -m tests.support.later worker ...` runs a command of it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tailrace.cli import main
from tailrace.events._scripts import script as log_scripts
from tailrace.queue import script as queue_scripts
from tailrace.redis import Scripts
from tests.support.scripts import script_names

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


@contextmanager
def later_scripts(additions: Mapping[str, tuple[str, str]] = ENTRIES) -> Iterator[None]:
    """Let what is made of scripts in the block write as a later version does."""
    before = [(scripts, dict(scripts.sources)) for scripts in (log_scripts, queue_scripts)]
    try:
        _change(additions)
        yield
    finally:
        for scripts, sources in before:
            scripts.sources.clear()
            scripts.sources.update(sources)


def _change(additions: Mapping[str, tuple[str, str]]) -> None:
    for name, (now, then) in additions.items():
        scripts = _holder(name)
        if now not in scripts.source(name):
            raise LookupError(f"{name}.lua doesn't say {now!r}")
        scripts.sources[name] = scripts.source(name).replace(now, then)


def _holder(name: str) -> Scripts:
    return log_scripts if name in script_names(log_scripts) else queue_scripts


def write_as_later() -> None:
    """Let this process write all records as a later version does."""
    for each in (ENTRIES, OTHERS, _BOTH):
        _change(each)


if __name__ == "__main__":
    write_as_later()
    raise SystemExit(main())
