"""Verify a JSON Web Token and read the grant in it.

The compact form is parsed here, strictly: three canonical base64url segments, and JSON objects without repeated members. PyJWT's
parser accepts more and takes longer than the signature. Its algorithms, on cryptography, check the signature.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Any, NoReturn, Protocol, TypeVar

import msgspec

from tailrace.access._errors import ExpiredTokenError, GrantError, InvalidTokenError, UnknownKeyError
from tailrace.access._grant import Grant, UnixTime
from tailrace.access._keys import ALGORITHMS, MAX_KID, KeySet

MAX_TOKEN = 16 * 1024
"""Characters of a token."""
MAX_ERROR = 300
"""Characters of an error's text that come from the token."""
NOT_BEFORE_LEEWAY_S = 60
"""How far `nbf` may lie ahead: issuers set it to their own clock."""
_REGISTERED = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid"})
_T = TypeVar("_T")


class JwtRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a token has to say, apart from its signature."""

    claim: str = "tailrace"
    """The claim that holds the grant: `{"channels": {...}, "functions": {...}}`."""
    issuer: str | None = None
    """What `iss` has to be."""
    audience: str | None = None
    """What `aud` has to be or contain."""
    max_grant_s: float = 86_400
    """The longest life of a token, from `iat` to `exp`. Revocations are kept for as long."""

    def __post_init__(self) -> None:
        """Raise ValueError: a setting can't work."""
        if not self.claim or self.claim in _REGISTERED:
            raise ValueError("--jwt-claim: expected a claim of its own, not a registered one")
        for option, value in (("--jwt-issuer", self.issuer), ("--jwt-audience", self.audience)):
            if value == "":
                raise ValueError(f"{option}: expected a value, got nothing")
        if self.max_grant_s <= 0:
            raise ValueError("--max-grant-s: expected more than 0")


class KeySource(Protocol):
    """Keys that can change: a JWKS."""

    @property
    def keys(self) -> KeySet:
        """The keys that are trusted now; the same object until they change."""


class Verifier:
    """Verifies tokens and remembers which were good, so that a known token costs microseconds.

    Args:
        rules: what a token has to say.
        keys: keys from files.
        jwks: keys from elsewhere. A token whose key is unknown may then be good later.
        remember: how many verified tokens to keep.

    Raises ValueError: a JWKS without an issuer and an audience, which would let in any other application's tokens.
    """

    def __init__(self, rules: JwtRules, keys: KeySet, jwks: KeySource | None = None, *, remember: int = 10_000) -> None:
        if jwks is not None and (rules.issuer is None or rules.audience is None):
            raise ValueError("--jwks-url: --jwt-issuer and --jwt-audience are required with it")
        self._rules, self._files, self._jwks, self._remember = rules, keys, jwks, remember
        self._fetched: KeySet | None = None
        self._keys = keys
        self._verified = OrderedDict[bytes, Grant]()

    def verify(self, token: str, now: float) -> Grant:
        """Return the grant of a token that is valid at `now`, in Unix seconds.

        Raises:
            InvalidTokenError: the token isn't valid.
            ExpiredTokenError: it was valid until its `exp`.
            UnknownKeyError: its key may be in a newer JWKS.
        """
        if len(token) > MAX_TOKEN:
            raise InvalidTokenError(f"the token is longer than {MAX_TOKEN} characters")
        if self._jwks is not None and self._jwks.keys is not self._fetched:
            self._replace(self._jwks.keys)
        digest = sha256(token.encode(errors="replace")).digest()
        grant = self._verified.get(digest)
        known = grant is not None
        if grant is None:
            grant = self._read(token, now)
        if grant.expires_at is None or grant.expires_at <= now:
            raise ExpiredTokenError("the token has expired")
        if known:
            self._verified.move_to_end(digest)
        else:
            self._put(digest, grant)
        return grant

    def _replace(self, fetched: KeySet) -> None:
        """Trust other keys. What the old ones verified has to be verified again."""
        self._fetched, self._keys = fetched, self._files + fetched
        self._verified.clear()

    def _put(self, digest: bytes, grant: Grant) -> None:
        self._verified[digest] = grant
        if len(self._verified) > self._remember:
            self._verified.popitem(last=False)

    def _read(self, token: str, now: float) -> Grant:
        parts = token.split(".", 3) if token.isascii() else ()
        if len(parts) != 3:
            raise InvalidTokenError("malformed token: expected a signed JWT in compact form")
        header, payload, signature = parts
        self._check_signature(_header(header), f"{header}.{payload}".encode(), _decode(signature, "signature"))
        members = _members(payload, "claims")
        claims = _convert(members, _Claims)
        self._check_claims(claims, now)
        return self._grant(claims, members)

    def _check_signature(self, header: "_Header", signed: bytes, signature: bytes) -> None:
        if header.alg not in ALGORITHMS:
            raise InvalidTokenError("the token's algorithm is not accepted: expected EdDSA, ES256, RS256 or HS256")
        keys = self._keys.find(header.alg, header.kid)
        if any(key.verifies(signed, signature) for key in keys):
            return
        if self._jwks is not None and not self._is_known(header.kid):
            raise UnknownKeyError(header.kid)
        raise InvalidTokenError("the token is signed by no trusted key" if not keys else "the token's signature is wrong")

    def _is_known(self, kid: str | None) -> bool:
        """Return whether a newer JWKS would make no difference."""
        if kid is None:
            return self._fetched is not None and bool(self._fetched.keys)
        return self._keys.knows(kid)

    def _check_claims(self, claims: "_Claims", now: float) -> None:
        rules = self._rules
        if rules.issuer is not None and claims.iss != rules.issuer:
            raise InvalidTokenError("the token is from another issuer (`iss`)")
        audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud or ()
        if rules.audience is not None and rules.audience not in audience:
            raise InvalidTokenError("the token is for another audience (`aud`)")
        if claims.exp <= claims.iat:
            raise InvalidTokenError("the token's `exp` is not later than its `iat`")
        if claims.exp - claims.iat > rules.max_grant_s:
            raise InvalidTokenError(f"the token's `exp` is more than {rules.max_grant_s:g} s after its `iat`")
        if claims.nbf is not None and claims.nbf > now + NOT_BEFORE_LEEWAY_S:
            raise InvalidTokenError("the token is not valid yet (`nbf`)")

    def _grant(self, claims: "_Claims", members: dict[str, Any]) -> Grant:
        if self._rules.claim not in members:
            raise InvalidTokenError(f"the token has no claim `{self._rules.claim}`")
        rights = _convert(members[self._rules.claim], _Rights)
        try:
            return Grant(claims.sub, rights.channels, rights.functions, claims.exp, claims.iat, claims.sid, rights.since, source="token")
        except GrantError as error:
            raise InvalidTokenError(f"the token's grant can't be read: {_shown(error)}") from None


class _Header(msgspec.Struct, frozen=True):
    """The header. Members that bring a key along, or that change how the token is read, are refused."""

    alg: str
    kid: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KID)] | None = None


_REFUSED = ("jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc")


class _Claims(msgspec.Struct):
    sub: str
    exp: UnixTime
    iat: UnixTime
    nbf: UnixTime | None = None
    iss: str | None = None
    aud: str | list[str] | None = None
    sid: str | None = None


class _Rights(msgspec.Struct, forbid_unknown_fields=True):
    """The claim that holds the grant; `Grant` checks what is in it."""

    channels: Any = {}
    functions: Any = {}
    since: Any = {}


@lru_cache(maxsize=64)  # an issuer's tokens all have the same one
def _header(segment: str) -> _Header:
    members = _members(segment, "header")
    for name in _REFUSED:
        if name in members:
            raise InvalidTokenError(f"the token's header has `{name}`, which is not accepted")
    return _convert(members, _Header)


def _members(segment: str, part: str) -> dict[str, Any]:
    """Read a JSON object. Raises InvalidTokenError."""
    try:
        text = _decode(segment, part).decode()
        members = _json.decode(text)
        if "\\ud" in text or "\\uD" in text:  # an escaped surrogate; a lone one is in no string that can be encoded
            json.dumps(members, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise InvalidTokenError(f"malformed token: the {part} is not a JSON object without repeated members") from None
    if not isinstance(members, dict):
        raise InvalidTokenError(f"malformed token: the {part} is not a JSON object")
    return members


def _decode(segment: str, part: str) -> bytes:
    """Decode a segment that has exactly one spelling. Raises InvalidTokenError."""
    try:
        decoded = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        decoded = b""
    if urlsafe_b64encode(decoded).rstrip(b"=") != segment.encode():
        raise InvalidTokenError(f"malformed token: the {part} is not in base64url")
    return decoded


def _convert(value: Any, form: type[_T]) -> _T:
    """Check the form of a part of the token. Raises InvalidTokenError."""
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as error:
        raise InvalidTokenError(f"bad token: {_shown(error)}") from None


def _shown(error: Exception) -> str:
    """Bound what the token put into an error's text."""
    return str(error)[:MAX_ERROR]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a repeated member (RFC 7515, 4; RFC 7519, 4): two readers could take different ones."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated")
    return members


_json = json.JSONDecoder(object_pairs_hook=_no_repeats, parse_constant=_no_constant)
