"""Headers that keep a browser from making more of an answer than was meant."""

import base64
import hashlib
import re

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""For every answer that isn't a page with a policy of its own."""
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def page_headers(page: str) -> dict[str, str]:
    """Return the same for a service with a page of one file: its own inline script and style run, and it talks to its own origin."""
    sources: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        sources[kind].append(f"'sha256-{digest}'")
    allowed = [f"{kind}-src {' '.join(found)}" for kind, found in sources.items() if found]
    own = ["img-src data:", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return {**SAFE_HEADERS, "Content-Security-Policy": "; ".join(["default-src 'none'", *allowed, *own])}
