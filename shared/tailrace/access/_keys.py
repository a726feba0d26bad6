"""Keys that verify tokens. Each has exactly one algorithm, fixed by its type and never by a token.

So an RSA public key can't be taken for the secret of an HMAC. A file that looks like any key but a PEM public key or a JWK is
refused, since its bytes would otherwise become a secret that everyone knows.
"""

import re
from base64 import b64decode
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from tailrace.wire import SetupError

Algorithm = Literal["EdDSA", "ES256", "RS256", "HS256"]
ALGORITHMS: frozenset[str] = frozenset({"EdDSA", "ES256", "RS256", "HS256"})
MIN_SECRET_BYTES = 32
MAX_KEYS = 32
"""Keys of a JWKS that are used. A token without `kid` is tried with each, so they bound what it costs."""
MAX_ENTRIES = 256
"""Keys of a JWKS that are looked at."""
MAX_KID = 256
_RSA_BITS = range(2048, 8193)
_MARKER = re.compile(rb"----[- ]BEGIN ")
_PUBLIC = re.compile(rb"-----BEGIN (RSA )?PUBLIC KEY-----")
_SSH = (b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-")
_CURVES = {"EC": "P-256", "OKP": "Ed25519"}
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_BY_TYPE: dict[str, Algorithm] = {"EC": "ES256", "OKP": "EdDSA", "RSA": "RS256"}


class Key(msgspec.Struct, frozen=True, eq=False):
    """A trusted key."""

    algorithm: Algorithm
    kid: str | None
    """Its name in a JWK. A PEM file or a secret has none."""
    material: Any
    """What the algorithm takes: a public key of cryptography, or the bytes of a secret."""
    check: Callable[[bytes, Any, bytes], bool]

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Return whether the signature is this key's."""
        return self.check(signed, self.material, signature)

    def __repr__(self) -> str:
        """Leave out the key itself: it may be a secret."""
        return f"Key({self.algorithm})"


class KeySet(msgspec.Struct, frozen=True, eq=False):
    """Trusted keys, among which a token's `kid` chooses."""

    keys: tuple[Key, ...] = ()

    def find(self, algorithm: str, kid: str | None) -> Sequence[Key]:
        """Return the keys that may have signed: those of that name, otherwise those without a name; without `kid` any."""
        suitable = [key for key in self.keys if key.algorithm == algorithm]
        if kid is None:
            return suitable
        name = kid if self.knows(kid) else None
        return [key for key in suitable if key.kid == name]

    def knows(self, kid: str) -> bool:
        """Return whether a key has that name."""
        return any(key.kid == kid for key in self.keys)

    def __add__(self, other: "KeySet") -> "KeySet":
        """Trust both."""
        return KeySet(self.keys + other.keys)


class _Jwk(msgspec.Struct):
    """A JSON Web Key (RFC 7517), as far as it matters here."""

    kty: str
    kid: str | None = None
    use: str | None = None
    key_ops: list[str] | None = None
    alg: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None
    n: str | None = None
    e: str | None = None
    d: str | None = None


class _Jwks(msgspec.Struct):
    keys: list[msgspec.Raw]


class _UnusableError(Exception):
    """A key that can't be used; says why."""


def read_key_files(paths: Iterable[str | Path]) -> KeySet:
    """Read key files (`--jwt-key`): a PEM public key, a JWK or JWKS; otherwise the bytes are an HMAC secret.

    Raises SetupError: a file can't be read or used, or the extra `auth` isn't installed.
    """
    keys = list[Key]()
    for path in paths:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise SetupError(f"--jwt-key {path}: {error.strerror}") from None
        try:
            keys += parse_key_file(content)
        except _UnusableError as error:
            raise SetupError(f"--jwt-key {path}: {error}") from None
    return KeySet(tuple(keys))


def parse_key_file(content: bytes) -> Sequence[Key]:
    """Read the content of a key file. Raises _UnusableError."""
    if _MARKER.search(content):
        return [_pem(content)]
    if (text := content.removeprefix(b"\xef\xbb\xbf").strip()).startswith(b"{") and _is_text(text):
        return _document(text)
    _refuse_other_forms(text)
    secret = content.removesuffix(b"\r\n" if content.endswith(b"\r\n") else b"\n")
    if len(secret) < MIN_SECRET_BYTES:
        raise _UnusableError(f"no PEM public key, no JWK, and too short for an HMAC secret: expected {MIN_SECRET_BYTES} bytes or more")
    return [hmac_key(secret)]


def hmac_key(secret: bytes) -> Key:
    """Make the key of an HMAC secret.

    Raises:
        ValueError: the secret has less than 32 bytes.
        SetupError: the extra `auth` isn't installed.
    """
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"an HMAC secret needs {MIN_SECRET_BYTES} bytes or more")
    return _key("HS256", None, secret)


def parse_jwks(content: bytes) -> KeySet:
    """Read a JWKS. Keys that can't be used here are left out; so are symmetric ones.

    Raises ValueError: it isn't a JWKS.
    """
    try:
        entries = msgspec.json.decode(content, type=_Jwks).keys
    except _UNREADABLE:
        raise ValueError("not a JWKS") from None
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"a JWKS with more than {MAX_ENTRIES} keys")
    keys = list[Key]()
    for entry in entries:
        with suppress(_UnusableError):
            keys.append(_jwk(entry))
        if len(keys) == MAX_KEYS:
            break
    return KeySet(tuple(keys))


def _document(text: bytes) -> Sequence[Key]:
    """Read a file that begins as JSON. Raises _UnusableError."""
    try:
        is_set = "keys" in msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        keys = parse_jwks(text).keys if is_set else (_jwk(text),)
    except (*_UNREADABLE, ValueError):
        raise _UnusableError("begins as JSON but is neither a JWK nor a JWKS") from None
    if not keys:
        raise _UnusableError("the JWKS has no public key for signatures with EdDSA, ES256 or RS256")
    return keys


def _jwk(entry: msgspec.Raw | bytes) -> Key:
    """Read one JWK. Raises _UnusableError."""
    try:
        jwk = msgspec.json.decode(entry, type=_Jwk)
    except _UNREADABLE:
        raise _UnusableError("not a JWK") from None
    _check_jwk(jwk)
    algorithm = _BY_TYPE[jwk.kty]
    members = {name: value for name in ("kty", "crv", "x", "y", "n", "e") if (value := getattr(jwk, name)) is not None}
    try:
        material = _algorithm(algorithm).from_jwk(members)
    except Exception:  # noqa: BLE001 - whatever a malformed number makes PyJWT and cryptography raise
        raise _UnusableError(f"malformed {jwk.kty} key") from None
    return _key(algorithm, jwk.kid, _checked(material)[1])


def _check_jwk(jwk: _Jwk) -> None:
    if jwk.kty == "oct":
        raise _UnusableError("a symmetric JWK is not used: give an HMAC secret as the bytes of a file")
    if jwk.kty not in _BY_TYPE or jwk.crv != _CURVES.get(jwk.kty):
        raise _UnusableError("expected an Ed25519, P-256 or RSA key")
    if jwk.d is not None:
        raise _UnusableError("holds a private key: give its public part only")
    if jwk.alg not in (None, _BY_TYPE[jwk.kty]):
        raise _UnusableError(f"`alg`: expected {_BY_TYPE[jwk.kty]} for this type of key")
    if jwk.use not in (None, "sig") or (jwk.key_ops is not None and "verify" not in jwk.key_ops):
        raise _UnusableError("not a key for signatures")
    if jwk.kid is not None and not 0 < len(jwk.kid) <= MAX_KID:
        raise _UnusableError(f"`kid`: expected 1 to {MAX_KID} characters")


def _pem(content: bytes) -> Key:
    """Read a PEM file with one public key. Raises _UnusableError."""
    if b"PRIVATE KEY-----" in content:
        raise _UnusableError("holds a private key: give its public part only (openssl pkey -pubout)")
    if len(_MARKER.findall(content)) != 1 or not _PUBLIC.search(content):
        raise _UnusableError("expected exactly one PEM block, a PUBLIC KEY (from a certificate: openssl x509 -pubkey -noout)")
    require_libraries()
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        material = load_pem_public_key(content)
    except Exception:  # noqa: BLE001 - whatever malformed DER makes cryptography raise
        raise _UnusableError("malformed PEM public key") from None
    algorithm, material = _checked(material)
    return _key(algorithm, None, material)


def _checked(material: Any) -> tuple[Algorithm, Any]:
    """Return a public key with its algorithm. Raises _UnusableError."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(material, Ed25519PublicKey):
        return "EdDSA", material
    if isinstance(material, EllipticCurvePublicKey) and isinstance(material.curve, SECP256R1):
        return "ES256", material
    if isinstance(material, RSAPublicKey):
        if material.key_size not in _RSA_BITS:
            raise _UnusableError(f"expected an RSA key of {_RSA_BITS[0]} to {_RSA_BITS[-1]} bits, got {material.key_size}")
        return "RS256", material
    raise _UnusableError("expected an Ed25519, P-256 or RSA public key")


def _key(algorithm: Algorithm, kid: str | None, material: Any) -> Key:
    return Key(algorithm, kid, material, _algorithm(algorithm).verify)


def _algorithm(name: Algorithm) -> Any:
    """Return PyJWT's implementation. Raises SetupError: the extra `auth` isn't installed."""
    return require_libraries()[name]


@cache
def require_libraries() -> Mapping[str, Any]:
    """Import what verifies signatures; later imports in the loop cost nothing then.

    Raises SetupError: the extra `auth` isn't installed.
    """
    try:
        import cryptography.x509  # noqa: F401 - PyJWT does without it, and then has HMAC only
        from jwt.algorithms import get_default_algorithms
    except ImportError:
        raise SetupError("tokens need the extra `auth`: pip install 'tailrace[auth]'") from None
    return get_default_algorithms()


def _refuse_other_forms(text: bytes) -> None:
    """Refuse public keys in other forms, which would become an HMAC secret that everyone knows. Raises _UnusableError."""
    if text.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise _UnusableError("in UTF-16: save it as UTF-8")
    if text.startswith(_SSH):
        raise _UnusableError("an OpenSSH key: convert it to PEM (ssh-keygen -e -m pkcs8 -f FILE)")
    require_libraries()
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    from cryptography.x509 import load_der_x509_certificate

    for load in (load_der_public_key, load_der_x509_certificate):
        for der in (text, _from_base64(text)):
            if _loads(load, der):
                raise _UnusableError("a public key or certificate without PEM armor: convert it to PEM")


def _loads(load: Callable[[bytes], object], der: bytes) -> bool:
    try:
        load(der)
    except Exception:  # noqa: BLE001 - whatever other bytes make cryptography raise
        return False
    return True


def _from_base64(text: bytes) -> bytes:
    """Decode what some consoles show as "the public key"."""
    try:
        return b64decode(b"".join(text.split()), validate=True)
    except ValueError:
        return b""


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
