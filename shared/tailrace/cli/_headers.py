"""Headers that keep a browser from making more of an answer than was meant."""

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""For every answer that isn't a page with a policy of its own."""
