"""Keeps modules in the current folder from shadowing others."""

import os
import sys

_PACKAGE = "tailrace.cli"


def drop_current_folder() -> None:
    """Take the current folder off `sys.path` if `python -m tailrace.cli` has put it first; `python -P` never does.

    A `redis.py` or `queue.py` that happens to be there would be imported instead of the real one.
    """
    words = sys.orig_argv
    started_here = sys.argv[:1] == ["-m"] and "-m" in words and words[words.index("-m") + 1 : words.index("-m") + 2] == [_PACKAGE]
    if started_here and not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:  # noqa: PTH109 - pathlib isn't imported yet
        del sys.path[0]
