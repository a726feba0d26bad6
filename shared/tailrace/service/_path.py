"""Makes an application's modules importable from the current folder."""

import sys
from pathlib import Path


def add_current_folder() -> None:
    """Append the current folder to `sys.path`; last, so that its modules shadow no others."""
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)
