"""Decide who may listen, push, call and stop.

A credential (a JSON Web Token, a service token) becomes a grant: patterns of channels with verbs, functions, and an end. Everything here
is pure, takes the time as an argument and knows neither HTTP nor Redis, except `Jwks`, which fetches an issuer's keys. The edge, ingest,
`tailrace.service`, `tailrace.push` and `tailrace.cli` may import this package; it imports `tailrace.wire` only. PyJWT, cryptography and
httpx are imported where keys are read, so a process without tokens doesn't need the extra `auth`.
"""

from tailrace.access._credentials import Credential, check_origin, pick_credential
from tailrace.access._errors import (
    AccessError,
    ExpiredTokenError,
    GrantError,
    InsufficientScopeError,
    InvalidRequestError,
    InvalidTokenError,
    NotNowError,
    PatternError,
    RevokedError,
    UnknownKeyError,
)
from tailrace.access._grant import Grant, Partition, partition, public_patterns
from tailrace.access._jwks import Jwks, JwksPolicy, verify_token
from tailrace.access._jwt import JwtRules, Verifier
from tailrace.access._keys import Key, KeySet, hmac_key, read_key_files
from tailrace.access._patterns import Patterns, compile_patterns, escape_subject, user_channel
from tailrace.access._revocations import Admission, Revocation, Revocations, admit, keep_until
from tailrace.access._streams import Streams
from tailrace.access._tokens import Producer, ServiceTokens, read_service_tokens

__all__ = [
    "AccessError",
    "Admission",
    "Credential",
    "ExpiredTokenError",
    "Grant",
    "GrantError",
    "InsufficientScopeError",
    "InvalidRequestError",
    "InvalidTokenError",
    "Jwks",
    "JwksPolicy",
    "JwtRules",
    "Key",
    "KeySet",
    "NotNowError",
    "Partition",
    "PatternError",
    "Patterns",
    "Producer",
    "Revocation",
    "Revocations",
    "RevokedError",
    "ServiceTokens",
    "Streams",
    "UnknownKeyError",
    "Verifier",
    "admit",
    "check_origin",
    "compile_patterns",
    "escape_subject",
    "hmac_key",
    "keep_until",
    "partition",
    "pick_credential",
    "public_patterns",
    "read_key_files",
    "read_service_tokens",
    "user_channel",
    "verify_token",
]
