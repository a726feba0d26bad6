"""What every service and command needs: settings, its log, a listening socket, and bounds on what clients send."""

from tailrace.service._bind import bind, own_names
from tailrace.service._command import Command
from tailrace.service._file_limit import most_sockets, raise_file_limit
from tailrace.service._http_bounds import MAX_FIELDS, BoundedRequests, end_slow
from tailrace.service._logging import LogLine, announce, configure_logging, http_address
from tailrace.service._origins import check_origins
from tailrace.service._settings import SettingsError, add_settings, read_settings

__all__ = [
    "MAX_FIELDS",
    "BoundedRequests",
    "Command",
    "LogLine",
    "SettingsError",
    "add_settings",
    "announce",
    "bind",
    "check_origins",
    "configure_logging",
    "end_slow",
    "http_address",
    "most_sockets",
    "own_names",
    "raise_file_limit",
    "read_settings",
]
