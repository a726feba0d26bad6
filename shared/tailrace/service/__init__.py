"""What every service and command needs: settings, logging, listening sockets, bounds on requests, and restarts.

The HTTP server is in `tailrace.service.http`.
"""

from tailrace.service._bind import bind, own_names
from tailrace.service._command import Command
from tailrace.service._file_limit import most_sockets, raise_file_limit
from tailrace.service._headers import SAFE_HEADERS, page_headers
from tailrace.service._host_guard import HostGuard, is_loopback
from tailrace.service._http_bounds import MAX_FIELDS, BoundedRequests, end_slow
from tailrace.service._logging import LogLine, announce, configure_logging, http_address
from tailrace.service._origins import check_origins
from tailrace.service._path import add_current_folder
from tailrace.service._plain import plain, plain_json, plain_lines
from tailrace.service._problem import Problem
from tailrace.service._restarts import RestartBackoff, exit_cause
from tailrace.service._settings import SettingsError, add_settings, read_settings
from tailrace.service._sockets import Sockets

__all__ = [
    "MAX_FIELDS",
    "SAFE_HEADERS",
    "BoundedRequests",
    "Command",
    "HostGuard",
    "LogLine",
    "Problem",
    "RestartBackoff",
    "SettingsError",
    "Sockets",
    "add_current_folder",
    "add_settings",
    "announce",
    "bind",
    "check_origins",
    "configure_logging",
    "end_slow",
    "exit_cause",
    "http_address",
    "is_loopback",
    "most_sockets",
    "own_names",
    "page_headers",
    "plain",
    "plain_json",
    "plain_lines",
    "raise_file_limit",
    "read_settings",
]
