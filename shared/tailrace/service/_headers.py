"""Headers that keep browsers from running or embedding what a service answers."""

import base64
import hashlib
import re

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""For every answer, except pages that have a policy of their own."""
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def page_headers(page: str) -> dict[str, str]:
    """Return the headers of a single-file page: its inline scripts and styles may run, and it may connect to its own origin."""
    sources: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        sources[kind].append(f"'sha256-{digest}'")
    allowed = [f"{kind}-src {' '.join(found)}" for kind, found in sources.items() if found]
    own = ["img-src data:", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return {**SAFE_HEADERS, "Content-Security-Policy": "; ".join(["default-src 'none'", *allowed, *own])}
