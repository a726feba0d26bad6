"""The page's files, read once, and the headers that they are served with."""

import hashlib
from importlib.resources import files
from urllib.parse import urlsplit

import msgspec

from tailrace.console._config import ConsoleConfig

_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}  # Litestar adds UTF-8


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


def headers(config: ConsoleConfig) -> dict[str, str]:
    """Return headers for every answer: the page loads what is its own and talks to the edges and ingest, and to nobody else."""
    reached = " ".join(sorted({_source(url) for url in (*config.edge_url, config.ingest_url)} | {"'self'"}))
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": reached,
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join([f"{name} {value}" for name, value in policy.items()]),
        "Cache-Control": "no-cache",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _source(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else "'self'"


def _file(name: str, body: bytes) -> File:
    return File(body, _TYPES[name.rpartition(".")[2]], f'"{hashlib.sha256(body).hexdigest()[:20]}"')
