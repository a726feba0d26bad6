"""The `tailrace` command: a frame that commands join by entry point, and the commands that need no service."""

from tailrace.cli._path import add_current_folder, drop_current_folder

drop_current_folder()  # before anything else is imported

from tailrace.cli._bind import bind  # noqa: E402
from tailrace.cli._bounds import MAX_FIELDS, BoundedRequests, end_slow  # noqa: E402
from tailrace.cli._command import Command  # noqa: E402
from tailrace.cli._files import most_sockets, raise_file_limit  # noqa: E402
from tailrace.cli._headers import SAFE_HEADERS, page_headers  # noqa: E402
from tailrace.cli._hosts import HostGuard, is_loopback  # noqa: E402
from tailrace.cli._logging import announce, configure_logging  # noqa: E402
from tailrace.cli._main import main  # noqa: E402
from tailrace.cli._origins import check_origins  # noqa: E402
from tailrace.cli._settings import SettingsError, add_settings, read_settings  # noqa: E402
from tailrace.cli._sockets import Sockets  # noqa: E402

__all__ = [
    "MAX_FIELDS",
    "SAFE_HEADERS",
    "BoundedRequests",
    "Command",
    "HostGuard",
    "SettingsError",
    "Sockets",
    "add_current_folder",
    "add_settings",
    "announce",
    "bind",
    "check_origins",
    "configure_logging",
    "end_slow",
    "is_loopback",
    "main",
    "most_sockets",
    "page_headers",
    "raise_file_limit",
    "read_settings",
]
