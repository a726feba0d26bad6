"""Host names that a service on loopback answers to.

A page whose own name was made to point at 127.0.0.1 (DNS rebinding) is of the service's origin to a browser, and so neither CORS nor the
check of origins keeps it out. The name in `Host` is still the page's.
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
    """Say whether an address, or the name localhost, is of this machine alone."""
    text = address.strip("[]").lower()
    try:
        return text == "localhost" or ip_address(text).is_loopback
    except ValueError:
        return False


class HostGuard:
    """An ASGI application before another one: it answers 421 where `Host` names neither loopback nor one of `names`."""

    def __init__(self, app: App, names: Iterable[str]) -> None:
        self._app, self._names = app, frozenset([name.lower() for name in names])

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await _refuse(send, *problem)

    def _problem(self, scope: Message) -> tuple[int, str] | None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"]
        if len(hosts) != 1:
            return 400, f"a request has one Host header, and this one has {len(hosts)}"
        match = _HOST.fullmatch(hosts[0])
        if match is None:
            return 400, "the Host header is not a host name"
        name = match["name"].lower()
        if is_loopback(name) or name in self._names:
            return None
        return 421, f"this service does not answer to the host name {name[:64]!r}: see --hosts"


async def _refuse(send: Any, status: int, message: str) -> None:
    body = msgspec.json.encode(Problem(message))
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers = [*fields, *[(name.lower().encode(), value.encode()) for name, value in SAFE_HEADERS.items()]]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
