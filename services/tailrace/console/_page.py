"""The page's files, read once, and the headers that they are served with."""

import hashlib
import re
from collections.abc import Iterable
from importlib.resources import files
from urllib.parse import urlsplit

import msgspec

_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}  # Litestar adds UTF-8
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?")
HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What every answer is served with."""


class File(msgspec.Struct, frozen=True):
    """A file as it is served."""

    body: bytes
    media_type: str
    tag: str
    """Its entity tag, quotes included."""


def load_page() -> dict[str, File]:
    """Return the files by name."""
    folder = files(__package__).joinpath("page")
    return {each.name: _file(each.name, each.read_bytes()) for each in folder.iterdir() if each.is_file()}


def reached(address: str, host: str) -> str:
    """Give an address to a browser that has found the page under `host` (a `Host` header, port included).

    `:8000` becomes `//host:8000`, whose scheme is the page's.
    """
    if not address.startswith(":"):
        return address
    own = _HOST.fullmatch(host)
    return f"//{own[1] if own else 'localhost'}{address}"


def policy(addresses: Iterable[str]) -> str:
    """Write the Content-Security-Policy: the page loads what is its own and talks to these addresses, and to nobody else."""
    parts = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": " ".join(sorted({_source(address) for address in addresses} | {"'self'"})),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join([f"{name} {value}" for name, value in parts.items()])


def _source(url: str) -> str:
    parts = urlsplit(url)
    if not parts.netloc:
        return "'self'"
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme else parts.netloc


def _file(name: str, body: bytes) -> File:
    return File(body, _TYPES[name.rpartition(".")[2]], f'"{hashlib.sha256(body).hexdigest()[:20]}"')
