"""Which files and JWKs become keys, with which algorithm; and that no public key becomes a secret."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat
from hypothesis import given, strategies as st

from tailrace.access import KeySet, hmac_key, read_key_files
from tailrace.access._keys import MAX_ENTRIES, MAX_KEYS, parse_jwks
from tailrace.wire import SetupError
from tests.access.issuer import SECRET, jwks, key_file, private_key, private_pem, public_jwk, public_pem

ALGORITHMS = ["EdDSA", "ES256", "RS256", "HS256"]
PUBLIC = ALGORITHMS[:3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key"


def read(path: Path, content: bytes) -> KeySet:
    path.write_bytes(content)
    return read_key_files([path])


def refusal(path: Path, content: bytes) -> str:
    with pytest.raises(SetupError) as refused:
        read(path, content)
    assert str(refused.value).startswith(f"--jwt-key {path}: ")
    return str(refused.value)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_file_has_the_algorithm_of_its_type(path: Path, algorithm: str) -> None:
    (key,) = read(path, key_file(algorithm)).keys
    assert (key.algorithm, key.kid) == (algorithm, None)


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_jwk_file_has_the_algorithm_of_its_type(path: Path, algorithm: str) -> None:
    for content in (json.dumps(public_jwk(algorithm, kid="k")).encode(), b"\xef\xbb\xbf " + jwks(public_jwk(algorithm, kid="k"))):
        (key,) = read(path, content).keys
        assert (key.algorithm, key.kid) == (algorithm, "k")


def test_several_files_are_trusted_together(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ALGORITHMS]
    for path, algorithm in zip(paths, ALGORITHMS, strict=True):
        path.write_bytes(key_file(algorithm))
    assert [key.algorithm for key in read_key_files(paths).keys] == ALGORITHMS


@pytest.mark.parametrize("newline", [b"", b"\n", b"\r\n"])
def test_a_secret_is_the_bytes_of_the_file_without_its_newline(path: Path, newline: bytes) -> None:
    (key,) = read(path, SECRET + newline).keys
    assert key.material == SECRET
    (key,) = read(path, SECRET + b" \n\n").keys
    assert key.material == SECRET + b" \n"


@given(content=st.binary(min_size=33, max_size=64).filter(lambda secret: secret[:1] not in b"\n\r" and not secret.endswith(b"\n")))
def test_random_bytes_are_a_secret(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    if any(mark in content for mark in (b"{", b"BEGIN", b"ssh", b"ecdsa", b"\xff\xfe", b"\xfe\xff")):
        return  # Hypothesis knows the constants of the code
    (key,) = read(tmp_path_factory.getbasetemp() / "random", content).keys
    assert (key.algorithm, key.material) == ("HS256", content)


def test_a_short_secret_is_refused(path: Path) -> None:
    assert "32 bytes or more" in refusal(path, b"s" * 31 + b"\n")
    with pytest.raises(ValueError, match="32 bytes"):
        hmac_key(b"s" * 31)


def forms_of_public_keys() -> dict[str, bytes]:
    rsa_key, der = private_key("RS256").public_key(), public_pem("RS256")
    spki = rsa_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "openssh": rsa_key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "openssh ed25519": private_key("EdDSA").public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "der": spki,
        "base64 of der": base64.b64encode(spki),
        "base64 of der in lines": base64.encodebytes(spki),
        "certificate": der.replace(b"PUBLIC KEY", b"CERTIFICATE"),
        "two keys": der + der,
        "private pkcs8": private_pem("RS256"),
        "private pkcs1": private_pem("RS256", PrivateFormat.TraditionalOpenSSL),
        "private openssh": private_pem("EdDSA", PrivateFormat.OpenSSH),
        "cut off": der[:200],
        "spoilt": der.replace(b"MII", b"AAA"),
        "ssh2": b"---- BEGIN SSH2 PUBLIC KEY ----\n" + base64.b64encode(spki),
        "pgp": b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n" + base64.b64encode(spki),
        "jwks cut off": jwks(public_jwk("RS256"))[:-2],
        "pem in utf-16": der.decode().encode("utf-16"),
        "json": b'{"some": "other", "document": "of more than 32 bytes"}',
    }


@pytest.mark.parametrize("form", forms_of_public_keys())
def test_no_other_form_of_a_key_becomes_a_secret(path: Path, form: str) -> None:
    content = forms_of_public_keys()[form]
    assert len(content) >= 32
    text = refusal(path, content)
    assert not any(line in text for line in content.decode("latin-1").split("\n") if len(line) > 30)


def weak_keys() -> dict[str, Any]:
    return {
        "rsa of 1024 bits": rsa.generate_private_key(65537, 1024),  # noqa: S505 - refused for that
        "p-384": ec.generate_private_key(ec.SECP384R1()),
        "secp256k1": ec.generate_private_key(ec.SECP256K1()),
        "ed448": ed448.Ed448PrivateKey.generate(),
        "dsa": dsa.generate_private_key(1024),  # noqa: S505 - refused for its type
    }


@pytest.mark.parametrize("form", weak_keys())
def test_a_key_without_one_of_the_algorithms_is_refused(path: Path, form: str) -> None:
    key = weak_keys()[form].public_key()
    refusal(path, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


SPOILT: dict[str, dict[str, Any]] = {
    "symmetric": {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"},
    "private": {"d": "AAAA"},
    "encryption": {"use": "enc"},
    "signing only": {"key_ops": ["sign"]},
    "another algorithm": {"alg": "RS512"},
    "hmac": {"alg": "HS256"},
    "no number": {"n": "!"},
    "wrong type": {"n": 5},
    "small": {"n": "AQAB"},
    "curve": {"kty": "EC", "crv": "P-384"},
    "long name": {"kid": "k" * 257},
    "numeric name": {"kid": 1},
    "no type": {"kty": None},
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_an_unusable_jwk_is_left_out_of_a_set_and_refused_alone(path: Path, spoilt: str) -> None:
    bad, good = public_jwk("RS256", **SPOILT[spoilt]), public_jwk("ES256", kid="good")
    assert [key.kid for key in parse_jwks(jwks(bad, good)).keys] == ["good"]
    assert [key.kid for key in read(path, jwks(bad, good)).keys] == ["good"]
    refusal(path, json.dumps(bad).encode())
    refusal(path, jwks(bad))


def test_a_point_off_the_curve_is_no_key() -> None:
    assert parse_jwks(jwks(public_jwk("ES256", x="AAAA"))).keys == ()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": [', b"\xff", b'{"keys": ' + b"[" * 100_000, b"<html>"])
def test_rubbish_is_no_jwks(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a JWKS"):
        parse_jwks(content)


def test_a_set_is_bounded() -> None:
    assert len(parse_jwks(jwks(*[public_jwk("EdDSA", kid=f"k{n}") for n in range(MAX_KEYS + 5)])).keys) == MAX_KEYS
    with pytest.raises(ValueError, match=f"more than {MAX_ENTRIES}"):
        parse_jwks(jwks(*[{}] * (MAX_ENTRIES + 1)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="nothing: No such file"):
        read_key_files([tmp_path / "nothing"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_does_not_show_itself(path: Path, algorithm: str) -> None:
    keys = read(path, key_file(algorithm))
    assert repr(keys.keys[0]) == f"Key({algorithm})"
    assert SECRET.decode() not in f"{keys!r} {keys}"


def test_names_choose_among_keys_and_never_the_algorithm() -> None:
    first, second = public_jwk("RS256", 1, kid="a"), public_jwk("ES256", 2, kid="b")
    keys = parse_jwks(jwks(first, second))
    assert [key.kid for key in keys.find("RS256", "a")] == ["a"]
    assert keys.find("ES256", "a") == keys.find("HS256", "a") == keys.find("RS256", "c") == []
    assert [key.kid for key in keys.find("ES256", None)] == ["b"]
