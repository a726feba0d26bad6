"""The `tailrace` command: a frame that commands join by entry point, and the commands that need no service."""

from tailrace.cli._bind import bind
from tailrace.cli._bounds import MAX_FIELDS, BoundedRequests, end_slow
from tailrace.cli._command import Command
from tailrace.cli._files import most_sockets, raise_file_limit
from tailrace.cli._headers import SAFE_HEADERS, page_headers
from tailrace.cli._hosts import HostGuard, is_loopback
from tailrace.cli._logging import announce, configure_logging
from tailrace.cli._main import main
from tailrace.cli._origins import check_origins
from tailrace.cli._settings import SettingsError, add_settings, read_settings
from tailrace.cli._sockets import Sockets

__all__ = [
    "MAX_FIELDS",
    "SAFE_HEADERS",
    "BoundedRequests",
    "Command",
    "HostGuard",
    "SettingsError",
    "Sockets",
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
