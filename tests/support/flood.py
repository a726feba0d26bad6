"""What a hostile client does with sockets, and what it costs a server, seen from outside."""

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.service import Service


def rss_kb(pid: int) -> int:
    """Return the memory that a process has in RAM, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def dial(url: str, source: str = "127.0.0.1") -> socket.socket:
    """Connect to a server from an address of this machine."""
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=10, source_address=(source, 0))


@contextmanager
def flood(service: Service, count: int, sent: Callable[[int], bytes], source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """Hold sockets on each of which some bytes were sent, whatever the server makes of them."""
    with ExitStack() as stack:
        sockets = []
        for number in range(count):
            with suppress(OSError):
                sockets.append(stack.enter_context(dial(service.url, source)))
                sockets[-1].sendall(sent(number))
        yield sockets


def closed(sockets: list[socket.socket]) -> int:
    """Count the sockets that the server has closed, after what it may have answered."""
    return sum(_is_closed(each) for each in sockets)


def _is_closed(connection: socket.socket) -> bool:
    try:
        while select.select([connection], [], [], 0)[0]:
            if not connection.recv(1 << 16):
                return True
    except OSError:
        return True
    return False
