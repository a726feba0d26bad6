"""A network whose other end can vanish, as behind a radio hole or a dead router: no FIN, no RST, no answer."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from typing import Self

import pytest

HERE, THERE = "198.18.37.1", "198.18.37.2"
"""Addresses for tests of networks (RFC 2544)."""
_OPEN = """
import socket, sys, time
connections = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(int(sys.argv[3]))]
for each in connections:
    each.sendall(b"GET /sse HTTP/1.1\\r\\nHost: edge\\r\\n\\r\\n")
for each in connections:
    each.recv(1)
print("open", flush=True)
time.sleep(120)
"""


class Elsewhere:
    """A network namespace that reaches this machine at HERE. Needs Linux and its root."""

    def __init__(self) -> None:
        if os.geteuid() or shutil.which("ip") is None or subprocess.run(["unshare", "--net", "true"], check=False).returncode:
            pytest.skip("needs root and `ip` to make a network namespace")
        self._name, self._near, self._far = f"tailrace-{os.getpid()}", f"tr{os.getpid()}n", f"tr{os.getpid()}f"
        self._clients: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        _ip("netns", "add", self._name)
        _ip("link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", self._name)
        _ip("address", "add", f"{HERE}/30", "dev", self._near)
        _ip("-n", self._name, "address", "add", f"{THERE}/30", "dev", self._far)
        _ip("-n", self._name, "link", "set", self._far, "up")
        _ip("link", "set", self._near, "up")
        return self

    def __exit__(self, *_: object) -> None:
        if self._clients is not None:
            self._clients.kill()
            self._clients.communicate()
        with suppress(subprocess.CalledProcessError):
            _ip("link", "delete", self._near)
        _ip("netns", "delete", self._name)

    def open_streams(self, port: int, count: int) -> None:
        """Have so many streams opened from there."""
        command = ["ip", "netns", "exec", self._name, sys.executable, "-c", _OPEN, HERE, str(port), str(count)]
        self._clients = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._clients.stdout is not None
        assert self._clients.stdout.readline() == "open\n"

    def vanish(self) -> None:
        """Answer nothing any more, not even who has the address."""
        _ip("-n", self._name, "address", "flush", "dev", self._far)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)
