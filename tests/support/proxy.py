"""Caddy and nginx with the configurations that we ship; only addresses are rewritten."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest

from tests.support.folder import temporary_folder
from tests.support.ports import free_port
from tests.support.wait import wait_until_sync

PROXIES = Path(__file__).parents[2] / "docs" / "proxies"
_START_S = 10


class Proxy:
    """One proxy in the foreground, from when it listens to its end; `url` is what browsers use."""

    def __init__(self, command: Sequence[str], folder: Path, port: int, authority: Path, environ: Mapping[str, str] | None = None) -> None:
        self._command, self._folder, self._port = command, folder, port
        self._environ = {**os.environ, **(environ or {})}
        self.authority = authority
        """Certificate that clients have to trust."""
        self.url = f"https://localhost:{port}"
        self.admin = self._environ.get("CADDY_ADMIN", "")
        """Where Caddy tells of itself."""

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=self._folder, env=self._environ, stdout=log, stderr=log)
        try:
            wait_until_sync(self._listens, _START_S)
        except TimeoutError:
            self._process.kill()
            raise RuntimeError(f"{self._command[0]} did not start:\n{self.log}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(_START_S)
        shutil.rmtree(self._folder)

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._command[0]} ended:\n{self.log}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0 and self.authority.exists()


def loopback(count: int) -> list[str]:
    """Give addresses of this machine besides 127.0.0.1, one for each of several servers that share a port."""
    hosts = [f"127.0.0.{number}" for number in range(2, 2 + count)]
    for host in hosts:
        with socket.socket() as probe:
            try:
                probe.bind((host, 0))
            except OSError:
                pytest.skip(f"{host} isn't an address of this machine (macOS: ifconfig lo0 alias {host})")
    return hosts


def caddy(name_server: str, ports: Mapping[str, int], command: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Proxy:
    """Make Caddy, which asks `name_server` for services' addresses and finds each at its port.

    `command` and `environ` are those of a container, whose files are under /etc/caddy and /tmp.
    """
    binary = Path(sys.prefix) / "bin" / "caddy"
    folder, port = temporary_folder("tailrace-caddy-"), free_port()
    text = (PROXIES / "Caddyfile").read_text().replace("http_port 8080", f"http_port {free_port()}")
    text = text.replace("https_port 8443", f"https_port {port}")
    for name, at in ports.items():
        text = re.sub(rf"name {name}\n\s+port \d+", f"name {name}\nport {at}\nresolvers {name_server}", text)
    (folder / "Caddyfile").write_text(text)
    words = command or ("caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile")
    return Proxy(
        [str(binary), *[word.replace("/etc/caddy", str(folder)) for word in words[1:]]],
        folder,
        port,
        folder / "caddy/pki/authorities/local/root.crt",
        {"CADDY_ADMIN": f"127.0.0.1:{free_port()}", **(environ or {}), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
    )


def nginx(edges: Sequence[str]) -> Proxy:
    """Make nginx before two edges (`host:port`)."""
    need("nginx", "openssl")
    folder, port = temporary_folder("tailrace-nginx-"), free_port()
    text = (PROXIES / "nginx.conf").read_text().replace("listen 443", f"listen 127.0.0.1:{port}")
    text = text.replace("/etc/nginx/", f"{folder}/")
    for number, edge in enumerate(edges, start=1):
        text = text.replace(f"edge-{number}:8000", edge)
    folders = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(text.replace("http {", f"http {{\n{folders}"))
    _make_certificate(folder / "tailrace.crt", folder / "tailrace.key")
    own = f"daemon off; pid {folder}/pid;"
    return Proxy(
        ["nginx", "-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", "stderr", "-g", own], folder, port, folder / "tailrace.crt"
    )


def need(*programs: str) -> None:
    """Skip the test where one of Debian's programs is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} isn't installed (requirements/system installs it on Debian)")


def _make_certificate(certificate: Path, key: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-out", str(certificate), "-keyout", str(key)),
        ],
        check=True,
        capture_output=True,
    )
