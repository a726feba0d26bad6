"""The `tailrace` command, which finds its commands by entry point, and the commands that need no service.

Only the command itself and tests import this package.
"""

from tailrace.cli._path import drop_current_folder

drop_current_folder()  # before anything else is imported

from tailrace.cli._main import main  # noqa: E402

__all__ = ["main"]
