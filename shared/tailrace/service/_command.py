"""A command of `tailrace`, which a package registers under the entry point group `tailrace.commands`."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    summary: str
    """One line for `tailrace --help`."""
    configure: Callable[[argparse.ArgumentParser], None]
    """Adds the command's arguments."""
    run: Callable[[argparse.Namespace], int]
    """Runs the command and returns the exit status."""
    epilog: str = ""
    """Examples, shown verbatim below the options."""
