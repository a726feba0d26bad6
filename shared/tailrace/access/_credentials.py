"""Which credential of a request counts.

The first of Authorization, ticket and cookie decides, whether it is good or bad: a bad credential is never treated as a missing one.
"""

import re
from collections.abc import Collection, Sequence
from typing import Literal, TypeVar

import msgspec

from tailrace.access._errors import InsufficientScopeError, InvalidRequestError, InvalidTokenError
from tailrace.access._jwt import MAX_TOKEN

_T = TypeVar("_T")
_bearer = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE).fullmatch  # RFC 6750, 2.1
_value = re.compile(r"[!-~]+").fullmatch


class Credential(msgspec.Struct, frozen=True):
    """What a client authenticates with, not yet checked."""

    kind: Literal["bearer", "ticket", "cookie"]
    value: str

    def __repr__(self) -> str:
        """Leave out the secret."""
        return f"Credential({self.kind})"


def pick_credential(
    authorization: Sequence[bytes],
    *,
    tickets: Sequence[str] = (),
    cookies: Sequence[bytes] = (),
    cookie_name: str | None = None,
    anonymous: Sequence[str] = (),
) -> Credential | None:
    """Return the credential that counts, or None where there is none.

    Args:
        authorization: the values of all Authorization headers.
        tickets: the values of all `ticket` parameters.
        cookies: the values of all Cookie headers.
        cookie_name: the cookie that holds a token; None where cookies don't count.
        anonymous: the values of all `anonymous` parameters. `1` ignores credentials.

    Raises:
        InvalidRequestError: a credential came more than once.
        InvalidTokenError: what decides has no valid form.
    """
    if _flag(anonymous):
        return None
    if authorization:
        return Credential("bearer", _token(_only(authorization, "Authorization header")))
    if tickets:
        return Credential("ticket", _checked(_only(tickets, "`ticket` parameter"), "ticket"))
    if cookie_name is not None and (found := _cookies(cookies, cookie_name.encode())):
        return Credential("cookie", _checked(_only(found, "cookie").decode("latin-1"), "cookie"))
    return None


def check_origin(credential: Credential | None, origin: str | None, own: str, others: Collection[str]) -> None:
    """Refuse a cookie that another site's page made the browser send.

    Args:
        credential: what counts. Only cookies are sent without the page's doing.
        origin: the Origin header, if there is one.
        own: the origin under which the service is reached.
        others: further origins (`--origins`). `*` isn't one: it can't be combined with cookies.

    Raises InsufficientScopeError: the origin is neither.
    """
    if credential is None or credential.kind != "cookie" or origin is None:
        return
    if origin != own and (origin == "*" or origin not in others):
        raise InsufficientScopeError("a cookie is not accepted from this origin")


def _flag(values: Sequence[str]) -> bool:
    if not values:
        return False
    if (value := _only(values, "`anonymous` parameter")) not in ("0", "1"):
        raise InvalidRequestError("`anonymous`: expected 0 or 1")
    return value == "1"


def _only(values: Sequence[_T], what: str) -> _T:
    if len(values) > 1:
        raise InvalidRequestError(f"more than one {what}")
    return values[0]


def _token(header: bytes) -> str:
    match = _bearer(header) if len(header) <= MAX_TOKEN + len("bearer ") else None
    if match is None:
        raise InvalidTokenError(f"Authorization: expected `Bearer` and a token of at most {MAX_TOKEN} characters")
    return match[1].decode()


def _checked(value: str, what: str) -> str:
    if len(value) > MAX_TOKEN or not _value(value):
        raise InvalidTokenError(f"malformed {what}")
    return value


def _cookies(headers: Sequence[bytes], name: bytes) -> list[bytes]:
    """Return the different values of a cookie. Another host of the same site can add one of its own, and neither can be preferred."""
    found = dict[bytes, None]()
    for header in headers:
        for pair in header.split(b";"):
            key, equals, value = pair.strip(b" \t").partition(b"=")
            if equals and key == name:
                found[value.removeprefix(b'"').removesuffix(b'"')] = None
    return list(found)
