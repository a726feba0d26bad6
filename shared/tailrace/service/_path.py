"""Lets an application's modules be imported from the current folder."""

import sys
from pathlib import Path


def add_current_folder() -> None:
    """Put the current folder last on `sys.path`, so that an application's modules are found there and hide no others."""
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)
