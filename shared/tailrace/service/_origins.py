"""Origins as settings name them."""

import re
from collections.abc import Iterable

_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+")


def check_origins(origins: Iterable[str]) -> None:
    """Refuse what no browser sends as an `Origin` (RFC 6454, 7): it would never match. Raises ValueError."""
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"--origins (TAILRACE_ORIGINS): {origin} is no origin; one is a scheme, a host in small letters and perhaps a port, "
                "such as https://example.org"
            )
