"""The `tailrace` command: a frame that commands join by entry point, and the commands that need no service."""

from tailrace.cli._headers import SAFE_HEADERS, page_headers
from tailrace.cli._hosts import HostGuard, is_loopback
from tailrace.cli._main import main
from tailrace.cli._path import add_current_folder, drop_current_folder
from tailrace.cli._plain import plain, plain_json, plain_lines
from tailrace.cli._seldom import Malformed
from tailrace.cli._sockets import Sockets

__all__ = [
    "SAFE_HEADERS",
    "HostGuard",
    "Malformed",
    "Sockets",
    "add_current_folder",
    "drop_current_folder",
    "is_loopback",
    "main",
    "page_headers",
    "plain",
    "plain_json",
    "plain_lines",
]
