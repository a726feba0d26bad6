"""Listening sockets whose failure names the setting to change."""

import errno
import socket
from contextlib import suppress

from tailrace.service._settings import SettingsError

BACKLOG = 4096  # a reconnect storm arrives at once; the kernel caps this at somaxconn
_ELSEWHERE, _ELSEWHERE_6 = "192.0.2.1", "2001:db8::1"  # addresses for documentation (RFC 5737, RFC 3849), which no host has


def bind(host: str, port: int, flag: str = "--port", zero: str = "0 chooses a free one", *, shared: bool = False) -> socket.socket:
    """Listen on an address; port 0 chooses a free port (`socket.getsockname()[1]`).

    `zero` explains port 0 in the error message. Processes that all pass `shared` can listen on one port, and the kernel spreads
    connections over them.

    Raises:
        SettingsError: the port is in use, or the address isn't this machine's; the message names the flag to change.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"--host: can't listen on {host}: {error.strerror}") from error
    except UnicodeError as error:
        raise SettingsError(f"--host: invalid host name {host!r}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(_reason(error, host, port, flag, zero)) from error
    listener.settimeout(0)
    return listener


def own_names() -> list[str]:
    """Return the names and addresses by which other machines reach this one, as far as it knows them."""
    names = [socket.gethostname(), socket.getfqdn()]
    for family, elsewhere in ((socket.AF_INET, _ELSEWHERE), (socket.AF_INET6, _ELSEWHERE_6)):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))  # sends nothing, but chooses the source address
            names.append(probe.getsockname()[0])
    return list(dict.fromkeys([name.lower() for name in names if name]))


def _reason(error: OSError, host: str, port: int, flag: str, zero: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{flag}: port {port} on {host} is taken; choose another with {flag} ({zero})"
    return f"{flag}: can't listen on {host}:{port}: {error.strerror}"
