"""Host names that a service on loopback answers to.

With DNS rebinding, a page's own host name resolves to 127.0.0.1. To the browser the service is then same-origin, so neither CORS nor the
check of `Origin` keeps the page out. `Host` still holds the page's name.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from ipaddress import ip_address
from typing import Any

import msgspec

from tailrace.service._headers import SAFE_HEADERS
from tailrace.service._problem import Problem

Message = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]\s/@]+)(?::\d{1,5})?", re.IGNORECASE)


def is_loopback(address: str) -> bool:
    """Return whether an address is loopback, or the name is localhost."""
    text = address.strip("[]").lower()
    try:
        return text == "localhost" or ip_address(text).is_loopback
    except ValueError:
        return False


class HostGuard:
    """ASGI middleware that answers 421 unless `Host` names loopback or one of `names`."""

    def __init__(self, app: App, names: Iterable[str]) -> None:
        self._app, self._names = app, frozenset([name.lower() for name in names])

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Forward a request, or refuse it."""
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await _refuse(send, *problem)

    def _problem(self, scope: Message) -> tuple[int, str] | None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"]
        if len(hosts) != 1:
            return 400, f"expected one Host header, got {len(hosts)}"
        match = _HOST.fullmatch(hosts[0])
        if match is None:
            return 400, "invalid Host header"
        name = match["name"].lower()
        if is_loopback(name) or name in self._names:
            return None
        return 421, f"host name {name[:64]!r} is not served here: see --hosts"


async def _refuse(send: Any, status: int, message: str) -> None:
    body = msgspec.json.encode(Problem(message))
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers = [*fields, *[(name.lower().encode(), value.encode()) for name, value in SAFE_HEADERS.items()]]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
