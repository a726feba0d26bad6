"""The errors of access control; each says whose fault it is and what a service answers.

TailraceError
└── AccessError               any of these
    ├── InvalidRequestError     the client's: contradictory credentials (HTTP 400, `invalid_request`)
    ├── InvalidTokenError       the client's: a missing or bad credential (HTTP 401, `invalid_token`)
    │   ├── ExpiredTokenError     it was good once
    │   └── RevokedError          a revocation concerns it
    ├── InsufficientScopeError  the client's: a right that the grant doesn't include (HTTP 403, `insufficient_scope`)
    ├── NotNowError             nobody's: the credential can't be checked at the moment (an edge says "not now", ingest answers 503)
    │   └── UnknownKeyError       the token names a key that may be in a newer JWKS
    └── GrantError              the application's or the issuer's: a grant with a bad pattern, verb or subject
        └── PatternError          a pattern that can match no channel

No message contains a token, a secret or a part of one.
"""

from collections.abc import Sequence
from typing import ClassVar

from tailrace.wire import TailraceError

_UNQUOTABLE = str.maketrans({'"': "'", "\\": "/"})  # RFC 6750, 3: an error_description has neither


class AccessError(TailraceError):
    """Anything that access control refuses."""

    status: ClassVar[int] = 500
    """HTTP status of the refusal."""
    code: ClassVar[str] = "server_error"
    """Error code (RFC 6750, 3.1)."""
    reason: ClassVar[str] = "forbidden"
    """What a `denied` event says to a client that reconnects: expired, revoked or forbidden."""

    @property
    def challenge(self) -> str:
        """The `WWW-Authenticate` header of the refusal (RFC 6750, 3)."""
        text = "".join(character if " " <= character <= "~" else "?" for character in str(self)).translate(_UNQUOTABLE)
        return f'Bearer realm="tailrace", error="{self.code}", error_description="{text}"'


class InvalidRequestError(AccessError):
    """Credentials that contradict each other, such as two Authorization headers."""

    status = 400
    code = "invalid_request"


class InvalidTokenError(AccessError):
    """A credential that is missing, malformed, not verifiable or not for this service."""

    status = 401
    code = "invalid_token"


class ExpiredTokenError(InvalidTokenError):
    """A credential that has ended."""

    reason = "expired"


class RevokedError(InvalidTokenError):
    """A credential that a revocation concerns."""

    reason = "revoked"


class InsufficientScopeError(AccessError):
    """A right that the grant doesn't include; names the channels that were refused."""

    status = 403
    code = "insufficient_scope"

    def __init__(self, message: str, channels: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.channels = tuple(channels)


class NotNowError(AccessError):
    """A credential that can't be checked at the moment; the client should try again."""

    status = 503
    code = "temporarily_unavailable"


class UnknownKeyError(NotNowError):
    """A token whose key isn't known, though a newer JWKS may have it."""

    def __init__(self, kid: str | None) -> None:
        super().__init__("the token names a key that is not known yet")
        self.kid = kid


class GrantError(AccessError, ValueError):
    """A grant that can't be read: its text names the field."""


class PatternError(GrantError):
    """A pattern that can match no channel."""
