"""The `tailrace` command: a frame that commands join by entry point, and the commands that need no service.

Nothing imports this package but the command itself and tests.
"""

from tailrace.cli._path import drop_current_folder

drop_current_folder()  # before anything else is imported

from tailrace.cli._main import main  # noqa: E402

__all__ = ["main"]
