"""What a package offers to the command line, under the entry point group `tailrace.commands`."""

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
    """Does the work and returns the exit status."""
    epilog: str = ""
    """Examples, shown as they are written below the options."""
