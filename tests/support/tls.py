"""A Redis server that speaks TLS, with a certificate for whatever name a test wants."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.redis import RedisServer


@contextmanager
def tls_server(folder: Path, name: str = "IP:127.0.0.1") -> Iterator[tuple[RedisServer, str]]:
    """Start a server that speaks TLS, too, and give the URL for that; `name` is the certificate's subjectAltName."""
    key, certificate, port = folder / "key", folder / "certificate", free_port()
    subject = ["-subj", "/CN=localhost", "-addext", f"subjectAltName={name}"]
    made = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", str(key), "-out", str(certificate), *subject]
    subprocess.run(made, check=True, capture_output=True)
    tls = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no"]
    with RedisServer("redis", *tls) as server:
        yield server, f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}"
