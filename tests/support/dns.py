"""A name server for a few names, as a container engine has one for its services."""

import socketserver
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Self

_A, _ANSWER, _UNKNOWN = 1, 0x8580, 0x8583


class NameServer:
    """Answers for `names` (a name -> IPv4 addresses, which may change at any time) on a free port of 127.0.0.1."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                question, connection = self.request
                connection.sendto(answer(question, names), self.client_address)

        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def answer(question: bytes, names: Mapping[str, Sequence[str]]) -> bytes:
    """Answer one question (RFC 1035, 4.1): addresses for A, nothing for other types, NXDOMAIN for other names."""
    labels, end = [], 12
    while length := question[end]:
        labels.append(question[end + 1 : end + 1 + length].decode("ascii"))
        end += 1 + length
    end += 5
    found = names.get(".".join(labels))
    (kind,) = struct.unpack(">H", question[end - 4 : end - 2])
    addresses = (found or ()) if kind == _A else ()
    records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", _A, 1, 0, 4) + bytes(map(int, address.split("."))) for address in addresses)
    flags = _UNKNOWN if found is None else _ANSWER
    return question[:2] + struct.pack(">HHHHH", flags, 1, len(addresses), 0, 0) + question[12:end] + records
