"""An issuer of tokens, on PyJWT and cryptography, and what else can be said in a token than an issuer would."""

import base64
import hashlib
import hmac
import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

NOW = 1_764_547_675.0
SECRET = b"a secret of at least 32 bytes, made up"
ISSUER, AUDIENCE = "https://issuer.example/", "tailrace"
RIGHTS = {"channels": {"chat:*": ["listen", "push"]}, "functions": {"answer": ["call"]}}


def private_key(algorithm: str, number: int = 0) -> Any:
    """Return the key of that number, the same one at each call."""
    return _made(algorithm, number)


@cache
def _made(algorithm: str, number: int) -> Any:
    match algorithm:
        case "HS256":
            return SECRET
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return rsa.generate_private_key(65537, 2048)


def public_pem(algorithm: str, number: int = 0) -> bytes:
    pem: bytes = private_key(algorithm, number).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def private_pem(algorithm: str, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    pem: bytes = private_key(algorithm).private_bytes(Encoding.PEM, form, NoEncryption())
    return pem


def key_file(algorithm: str) -> bytes:
    return SECRET + b"\n" if algorithm == "HS256" else public_pem(algorithm)


def public_jwk(algorithm: str, number: int = 0, **members: Any) -> dict[str, Any]:
    implementation: Any = jwt.get_algorithm_by_name(algorithm)
    return {**implementation.to_jwk(private_key(algorithm, number).public_key(), as_dict=True), **members}


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """Make good claims, with changes; None leaves one out."""
    good = {"sub": "ann", "iat": NOW, "exp": NOW + 3600, "iss": ISSUER, "aud": AUDIENCE, "sid": "s-1", "tailrace": RIGHTS}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def token(algorithm: str = "HS256", number: int = 0, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), private_key(algorithm, number), algorithm, headers=header)


def raw_token(header: bytes | dict[str, Any], payload: bytes | dict[str, Any], secret: bytes = SECRET) -> str:
    """Sign anything at all with HMAC."""
    signed = ".".join([_encode(header), _encode(payload)])
    return f"{signed}.{b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _encode(part: bytes | dict[str, Any]) -> str:
    return b64(part if isinstance(part, bytes) else json.dumps(part).encode())
