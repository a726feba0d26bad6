"""Origins in settings."""

import re
from collections.abc import Iterable

_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+")


def check_origins(origins: Iterable[str]) -> None:
    """Check that browsers can send each as `Origin` (RFC 6454, 7), since any other would never match. Raises ValueError."""
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"--origins (TAILRACE_ORIGINS): invalid origin {origin!r}: expected scheme://host[:port] in lower case, "
                "such as https://example.org, or *"
            )
