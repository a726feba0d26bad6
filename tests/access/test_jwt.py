"""Tokens: what is accepted, and the attacks that are not."""

import json
import math
import traceback
from collections.abc import Sequence
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, strategies as st

from tailrace.access import AccessError, ExpiredTokenError, Grant, InvalidTokenError, JwtRules, KeySet, UnknownKeyError, Verifier, hmac_key
from tailrace.access._jwt import MAX_TOKEN
from tailrace.access._keys import parse_jwks, parse_key_file
from tests.access.issuer import (
    AUDIENCE,
    ISSUER,
    NOW,
    RIGHTS,
    SECRET,
    b64,
    claims,
    jwks,
    key_file,
    private_key,
    public_jwk,
    public_pem,
    raw_token,
    token,
)

ALGORITHMS = ["EdDSA", "ES256", "RS256", "HS256"]
RULES = JwtRules(issuer=ISSUER, audience=AUDIENCE)


class Fetched:
    """Keys from elsewhere, which the test changes."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = parse_jwks(jwks(*keys)) if keys else KeySet()


def trusting(*algorithms: str, rules: JwtRules = RULES, fetched: Fetched | None = None, **more: Any) -> Verifier:
    keys = [key for algorithm in algorithms for key in parse_key_file(key_file(algorithm))]
    return Verifier(rules, KeySet(tuple(keys)), fetched, **more)


def refusal(verifier: Verifier, bad: str, now: float = NOW) -> str:
    """Return why a token is refused; the text shows nothing of the token, nor of a secret."""
    with pytest.raises(InvalidTokenError) as refused:
        verifier.verify(bad, now)
    shown = "".join(traceback.format_exception(refused.value)) + refused.value.challenge + repr(refused.value)
    assert SECRET.decode() not in shown
    assert not any(part in shown for part in bad.split(".") if len(part) > 20)
    assert (refused.value.status, refused.value.code) == (401, "invalid_token")
    return str(refused.value)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token_is_a_grant(algorithm: str) -> None:
    assert trusting(algorithm).verify(token(algorithm), NOW) == Grant(
        "ann", RIGHTS["channels"], RIGHTS["functions"], NOW + 3600, NOW, "s-1", source="token"
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_of_another_key_is_refused(algorithm: str) -> None:
    other = jwt.encode(claims(), b"another secret of 32 bytes or more", "HS256") if algorithm == "HS256" else token(algorithm, 1)
    assert "signature is wrong" in refusal(trusting(algorithm), other)


@pytest.mark.parametrize("signed", ALGORITHMS)
@pytest.mark.parametrize("trusted", ALGORITHMS)
def test_a_key_verifies_its_own_algorithm_only(trusted: str, signed: str) -> None:
    if trusted != signed:
        assert "signed by no trusted key" in refusal(trusting(trusted), token(signed))


@pytest.mark.parametrize("algorithm", ALGORITHMS[:3])
def test_a_public_key_is_never_a_secret(algorithm: str) -> None:
    """Algorithm confusion: the attacker signs with HMAC and the public key, in every form in which it is published."""
    public = private_key(algorithm).public_key()
    spki = PublicFormat.SubjectPublicKeyInfo
    forms = [
        public_pem(algorithm),
        public_pem(algorithm).strip(),
        public.public_bytes(Encoding.DER, spki),
        public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        json.dumps(public_jwk(algorithm)).encode(),
    ]
    files, sets = trusting(algorithm), Verifier(RULES, KeySet(), Fetched(public_jwk(algorithm, kid="k")))
    assert files.verify(token(algorithm), NOW) == sets.verify(token(algorithm), NOW)
    for form in forms:
        for kid in ({}, {"kid": "k"}):
            forged = raw_token({"alg": "HS256", **kid}, claims(), form)
            assert "signed by no trusted key" in refusal(files, forged)
            assert "signed by no trusted key" in refusal(sets, forged)
            refusal(files, raw_token({"alg": algorithm, **kid}, claims(), form))


@pytest.mark.parametrize("algorithm", ["PS256", "RS384", "RS512", "ES256K", "ES384", "HS384", "HS512"])
def test_other_algorithms_of_a_trusted_key_are_refused(algorithm: str) -> None:
    key = {"PS": "RS256", "RS": "RS256", "ES": "ES256", "HS": "HS256"}[algorithm[:2]]
    forged = raw_token({"alg": algorithm}, claims())
    if algorithm in ("PS256", "RS384", "RS512"):
        forged = jwt.encode(claims(), private_key(key), algorithm)
    assert "algorithm is not accepted" in refusal(trusting(*ALGORITHMS), forged)


@pytest.mark.parametrize("none", ["none", "None", "NONE", "nOnE", "", "HS256 "])
@pytest.mark.parametrize("signature", ["", b64(b"x")])
def test_an_unsigned_token_is_refused(none: str, signature: str) -> None:
    parts = [b64(json.dumps(part).encode()) for part in ({"alg": none}, claims())]
    refusal(trusting(*ALGORITHMS), ".".join([*parts, signature]))
    refusal(trusting(*ALGORITHMS), raw_token({"alg": none}, claims(), b""))


@pytest.mark.parametrize("alg", [None, 5, True, ["HS256"], {"HS256": 1}])
def test_a_malformed_algorithm_is_refused(alg: Any) -> None:
    assert "$.alg" in refusal(trusting("HS256"), raw_token({"alg": alg}, claims()))
    assert "`alg`" in refusal(trusting("HS256"), raw_token({}, claims()))


@pytest.mark.parametrize(
    "kid",
    ["../../../dev/null", "/dev/null", "' UNION SELECT 'x", "k;id", "http://evil.example/jwks", "", "k" * 257, "\ud800", "\0", 5, ["k"]],
)
def test_a_kid_is_a_name_and_nothing_else(kid: Any) -> None:
    for secret in (b"", b"x", json.dumps(kid).encode(), b"\0" * 32):
        refusal(trusting("HS256", "RS256"), raw_token({"alg": "HS256", "kid": kid}, claims(), secret))


def test_a_kid_chooses_among_trusted_keys() -> None:
    fetched = Fetched(public_jwk("ES256", 0, kid="a"), public_jwk("ES256", 1, kid="b"))
    verifier = Verifier(RULES, KeySet(), fetched)
    assert verifier.verify(token("ES256", 1, header={"kid": "b"}), NOW).sub == "ann"
    assert verifier.verify(token("ES256", 1), NOW).sub == "ann"
    assert "signature is wrong" in refusal(verifier, token("ES256", 1, header={"kid": "a"}))


@pytest.mark.parametrize("member", ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"])
def test_a_token_that_brings_its_key_is_refused(member: str) -> None:
    """The signature is good by the key that it brings, and even by a trusted one."""
    values = {
        "jku": "https://evil.example/jwks",
        "jwk": public_jwk("RS256", 1),
        "x5u": "https://evil.example/c.pem",
        "x5c": ["MII"],
        "crit": ["exp"],
    }
    header = {member: values.get(member, "x")}
    for secret in (SECRET, b"x" * 32):
        assert f"`{member}`" in refusal(trusting("RS256", "HS256"), raw_token({"alg": "HS256", **header}, claims(), secret))
    if member not in ("crit", "b64"):
        assert f"`{member}`" in refusal(trusting("RS256"), token("RS256", 1, header=header))


def test_a_symmetric_key_of_a_jwks_verifies_nothing() -> None:
    secret = {"kty": "oct", "k": b64(SECRET), "kid": "s", "alg": "HS256"}
    verifier = Verifier(RULES, KeySet(), Fetched(secret, public_jwk("ES256", kid="e")))
    with pytest.raises(UnknownKeyError):
        verifier.verify(token("HS256", header={"kid": "s"}), NOW)
    assert "signed by no trusted key" in refusal(verifier, token("HS256"))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"sub": None}, "`sub`"),
        ({"exp": None}, "`exp`"),
        ({"iat": None}, "`iat`"),
        ({"tailrace": None}, "`tailrace`"),
        ({"sub": 5}, r"$.sub"),
        ({"sub": ""}, r"$.sub"),
        ({"sub": "é" * 40}, r"$.sub"),
        ({"exp": str(NOW + 60)}, "$.exp"),
        ({"exp": True}, "$.exp"),
        ({"exp": (NOW + 60) * 1000}, "$.exp"),
        ({"exp": [NOW + 60]}, "$.exp"),
        ({"iat": "now"}, "$.iat"),
        ({"iat": -1}, "$.iat"),
        ({"iat": {"seconds": 1}}, "$.iat"),
        ({"nbf": "now"}, "$.nbf"),
        ({"sid": 7}, "$.sid"),
        ({"tailrace": []}, "object"),
        ({"tailrace": "channels"}, "object"),
        ({"tailrace": {"chanels": {}}}, "chanels"),
        ({"tailrace": {"channels": ["chat"]}}, "$.channels"),
        ({"tailrace": {"channels": {"chat": ["read"]}}}, "read"),
        ({"tailrace": {"channels": {"a*b": ["listen"]}}}, "a*b"),
        ({"tailrace": {"functions": {"f": ["listen"]}}}, "$.functions"),
    ],
)
def test_a_claim_that_is_missing_or_malformed_is_named(changes: dict[str, Any], where: str) -> None:
    assert where in refusal(trusting("HS256"), raw_token({"alg": "HS256"}, claims(**changes)))


@pytest.mark.parametrize("iss", [None, "https://issuer.example", "https://evil.example/", ISSUER.upper(), "", [ISSUER], 5])
def test_another_issuer_is_refused(iss: Any) -> None:
    assert "iss" in refusal(trusting("HS256"), raw_token({"alg": "HS256"}, claims(iss=iss)))


@pytest.mark.parametrize("aud", [None, "other", "tail", "tailrace2", [], ["other"], "", 5, {"tailrace": 1}, [5], [["tailrace"]]])
def test_another_audience_is_refused(aud: Any) -> None:
    assert "aud" in refusal(trusting("HS256"), raw_token({"alg": "HS256"}, claims(aud=aud)))


@pytest.mark.parametrize("aud", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]])
def test_the_audience_can_be_one_of_several(aud: Any) -> None:
    assert trusting("HS256").verify(token(aud=aud), NOW).sub == "ann"


def test_issuer_and_audience_are_not_checked_when_not_set() -> None:
    verifier = trusting("HS256", rules=JwtRules())
    assert verifier.verify(token(iss=None, aud=None), NOW) == verifier.verify(token(iss="x", aud="y"), NOW)


@pytest.mark.parametrize("rules", [JwtRules(), JwtRules(issuer=ISSUER), JwtRules(audience=AUDIENCE)])
def test_a_jwks_needs_an_issuer_and_an_audience(rules: JwtRules) -> None:
    with pytest.raises(ValueError, match="--jwt-issuer and --jwt-audience"):
        Verifier(rules, KeySet(), Fetched())


@pytest.mark.parametrize(
    "bad", [{"claim": "sub"}, {"claim": "exp"}, {"claim": ""}, {"issuer": ""}, {"audience": ""}, {"max_grant_s": 0}, {"max_grant_s": -1}]
)
def test_rules_that_cannot_work_name_their_option(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^--(jwt-claim|jwt-issuer|jwt-audience|max-grant-s): "):
        JwtRules(**bad)


@pytest.mark.parametrize("remembered", [False, True])
def test_the_end_of_a_token_is_exact(*, remembered: bool) -> None:
    verifier, good = trusting("HS256"), token(exp=NOW + 10)
    if remembered:
        verifier.verify(good, NOW)
    assert verifier.verify(good, NOW + 9.999).expires_at == NOW + 10
    for late in (10, 10.001, 1e6):
        with pytest.raises(ExpiredTokenError):
            verifier.verify(good, NOW + late)


def test_a_token_may_live_as_long_as_a_grant_and_no_longer() -> None:
    verifier = trusting("HS256", rules=JwtRules(max_grant_s=100))
    assert verifier.verify(token(exp=NOW + 100), NOW).expires_at == NOW + 100
    assert "more than 100 s" in refusal(verifier, token(exp=NOW + 101))
    assert "more than 100 s" in refusal(verifier, token(iat=0, exp=NOW + 1))
    assert "not later than its `iat`" in refusal(verifier, token(iat=NOW + 20, exp=NOW + 10))
    assert "not later than its `iat`" in refusal(verifier, token(iat=NOW + 20, exp=NOW + 20))


@pytest.mark.parametrize("ahead", [1, 31, 3600, 1e6])
def test_the_time_of_issue_is_compared_with_no_clock(ahead: float) -> None:
    assert trusting("HS256").verify(token(iat=NOW + ahead, exp=NOW + ahead + 60), NOW).issued_at == NOW + ahead


def test_a_token_of_the_future_is_refused_when_it_says_so() -> None:
    assert trusting("HS256").verify(token(nbf=NOW + 60), NOW).sub == "ann"
    assert "nbf" in refusal(trusting("HS256"), token(nbf=NOW + 61))


def test_the_claim_has_the_name_of_the_setting() -> None:
    verifier = trusting("HS256", rules=JwtRules(claim="https://example.com/tailrace"))
    rights = {"channels": {"news": ["listen"]}}
    named: dict[str, Any] = {"https://example.com/tailrace": rights, "tailrace": {"bad": 1}}
    assert verifier.verify(token(**named), NOW).channels == rights["channels"]
    assert "https://example.com/tailrace" in refusal(verifier, token())


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b'{"alg":"none","alg":"HS256"}', json.dumps(claims()).encode()),
        (b'{"alg":"HS256","kid":"a","kid":"b"}', json.dumps(claims()).encode()),
        (b'{"alg":"HS256"}', json.dumps(claims()).encode()[:-1] + b',"sub":"bob"}'),
        (b'{"alg":"HS256"}', json.dumps(claims()).encode()[:-1] + b',"exp":99999999999}'),
        (
            b'{"alg":"HS256"}',
            json.dumps(claims(tailrace=None)).encode()[:-1] + b',"tailrace":{"channels":{},"channels":{"**":["listen"]}}}',
        ),
        (b'{"alg":"HS256"}', json.dumps(claims()).encode()[:-1] + b',"s\\u0075b":"bob"}'),
        (b'{"alg":"HS256"}', json.dumps(claims(exp=math.inf)).encode()),
        (b'{"alg":"HS256"}', json.dumps(claims(iat=math.nan)).encode()),
        (b'{"alg":"HS256"}', json.dumps(claims(other=math.nan)).encode()),
        (b'{"alg":"HS256"}', json.dumps(claims()).replace("1764551275.0", "1e999").encode()),
        (b'{"alg":"HS256"}', json.dumps(claims()).replace("1764551275.0", "9" * 5000).encode()),
        (b'{"alg":"HS256"}', json.dumps(claims()).encode("utf-16")),
        (b'{"alg":"HS256"}', b"\xef\xbb\xbf" + json.dumps(claims()).encode()),
        (b'{"alg":"HS256"}', json.dumps(claims()).encode() + b"{}"),
        (b'{"alg":"HS256"}', b"\xff"),
        (b'{"alg":"HS256","\\ud800":1}', json.dumps(claims()).encode()),
        (b'{"alg":"HS256"}', json.dumps(claims(other="\ud800")).encode()),
        (b'{"alg":"HS256"}', json.dumps(claims(tailrace={"\udfff": {}})).encode().replace(b"udfff", b"uDFFF")),
        (b'{"alg":"HS256"}', b"[]"),
        (b'{"alg":"HS256"}', b"null"),
        (b'["HS256"]', b"{}"),
        (b'{"alg":"HS256"}', b'{"sub":' + b"[" * 5000 + b"]" * 5000 + b"}"),
        (b'{"alg":"HS256"}', b'{"a":' * 2000 + b"1" + b"}" * 2000),
        (b'{"alg":' + b"[" * 5000 + b"]" * 5000 + b"}", b"{}"),
    ],
)
def test_json_that_two_readers_could_take_differently_is_refused(header: bytes, payload: bytes) -> None:
    refusal(trusting("HS256"), raw_token(header, payload))


def test_an_escaped_surrogate_pair_is_a_character() -> None:
    text = json.dumps(claims(sub="\U0001f600"))
    assert "\\ud83d" in text
    assert trusting("HS256").verify(raw_token(b'{"alg":"HS256"}', text.encode()), NOW).sub == "\U0001f600"


def test_a_huge_token_is_refused_before_it_is_read() -> None:
    assert "longer than 16384" in refusal(trusting("HS256"), "a" * (MAX_TOKEN + 1))
    many = {f"chat:{n}": ["listen"] for n in range(1000)}
    few = dict([*many.items()][:400])
    assert trusting("HS256").verify(token(tailrace={"channels": few}), NOW).channels == few
    assert "longer than 16384" in refusal(trusting("HS256"), token(tailrace={"channels": many}))


@pytest.mark.parametrize(
    "rights",
    [
        {"x" * 8000: {}},
        {"channels": {"chat": ["x" * 8000]}},
        {"channels": {"x" * 8000: ["listen"]}},
        {"channels": {"\U0001f600" * 128: ["listen"]}},
    ],
    ids=["field", "verb", "pattern", "unprintable pattern"],
)
def test_what_a_token_makes_an_error_say_is_bounded(rights: dict[str, Any]) -> None:
    with pytest.raises(InvalidTokenError) as refused:
        trusting("HS256").verify(raw_token({"alg": "HS256"}, claims(tailrace=rights)), NOW)
    assert len(str(refused.value).encode()) < 1500
    assert len(refused.value.challenge) < 600
    assert refused.value.challenge.isascii()


def spellings(good: str) -> Sequence[str]:
    header, payload, signature = good.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(signature[-1]) ^ 1]  # the unused bits of the last character
    return [
        good + "=",
        good + "\n",
        " " + good,
        good + ".",
        f"{good}.{signature}",
        f"{header}.{payload}",
        f"{header}..{signature}",
        f"{header}.{payload}.",
        f"{header}=.{payload}.{signature}",
        f"{header}.{payload}.{signature[:-1]}{last}",
        f"{header}.{payload}.{signature[:5]} {signature[5:]}",
        f"{header}.{payload}.{signature[:-2]}",
        good.replace(".", "。"),
        good + "é",
        good + "\ud800",
        "",
        "..",
        "x",
    ]


@pytest.mark.parametrize("number", range(18))
def test_a_token_has_one_spelling(number: int) -> None:
    good = raw_token({"alg": "HS256"}, claims())
    verifier = trusting("HS256")
    verifier.verify(good, NOW)
    refusal(verifier, spellings(good)[number])


GOOD = {algorithm: token(algorithm) for algorithm in ALGORITHMS}


@given(st.sampled_from(ALGORITHMS), st.data())
def test_no_changed_token_is_accepted(algorithm: str, data: st.DataObject) -> None:
    good = GOOD[algorithm]
    at = data.draw(st.integers(0, len(good) - 1))
    character = data.draw(st.characters(max_codepoint=127).filter(lambda c: c != good[at]))
    verifier = trusting(*ALGORITHMS)
    assert verifier.verify(good, NOW).sub == "ann"
    with pytest.raises(InvalidTokenError):
        verifier.verify(good[:at] + character + good[at + 1 :], NOW)


# Surrogates too: JSON can escape a lone one.
TEXT = st.text(st.characters(codec=None, categories=None) | st.sampled_from("\ud800\udfff"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT | st.sampled_from(["channels", "sub", "since"]), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*claims(), "nbf"]), JSON), st.dictionaries(TEXT | st.sampled_from(["alg", "kid", "jwk"]), JSON))
def test_whatever_a_token_holds_it_is_a_grant_or_refused(changes: dict[str, Any], header: dict[str, Any]) -> None:
    try:
        grant = trusting("HS256").verify(raw_token({"alg": "HS256", **header}, {**claims(), **changes}), NOW)
    except AccessError:
        return
    assert grant.expires_at is not None
    assert grant.expires_at > NOW


@given(st.text() | st.binary().map(b64) | st.lists(st.binary().map(b64), min_size=3, max_size=3).map(".".join))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidTokenError):
        trusting("HS256").verify(text, NOW)


def test_a_verified_token_is_remembered_by_its_hash() -> None:
    verifier, good = trusting("RS256"), token("RS256")
    assert verifier.verify(good, NOW) is verifier.verify(good, NOW)
    assert good not in repr(vars(verifier))
    header, payload, _ = good.split(".")
    refusal(verifier, f"{header}.{payload}.{b64(b'x' * 256)}")


def test_what_is_remembered_is_bounded_and_keeps_what_is_used() -> None:
    verifier = trusting("HS256", remember=2)
    first, *others = [token(sub=f"s{n}") for n in range(4)]
    grant = verifier.verify(first, NOW)
    for other in others:
        verifier.verify(other, NOW)
        assert verifier.verify(first, NOW) is grant
        assert len(verifier._verified) <= 2


def test_a_bad_or_expired_token_is_not_remembered() -> None:
    verifier = trusting("HS256")
    for bad in (token(exp=NOW - 1, iat=NOW - 10), token(iss="x"), "x"):
        refusal(verifier, bad)
    assert not verifier._verified


def test_a_key_that_is_withdrawn_verifies_nothing_more_not_even_what_is_remembered() -> None:
    fetched = Fetched(public_jwk("ES256", kid="a"))
    verifier, good = Verifier(RULES, KeySet(), fetched), token("ES256", header={"kid": "a"})
    assert verifier.verify(good, NOW).sub == "ann"
    fetched.keys = parse_jwks(jwks(public_jwk("ES256", 1, kid="b")))
    with pytest.raises(UnknownKeyError):
        verifier.verify(good, NOW)


def test_an_unknown_key_is_refused_unless_a_jwks_may_have_it() -> None:
    unknown = token("ES256", header={"kid": "new"})
    assert "signed by no trusted key" in refusal(trusting("HS256"), unknown)
    with pytest.raises(UnknownKeyError) as later:
        trusting("HS256", fetched=Fetched(public_jwk("ES256", 1, kid="a"))).verify(unknown, NOW)
    assert (later.value.kid, later.value.status) == ("new", 503)
    with pytest.raises(UnknownKeyError):  # nothing was fetched yet
        trusting("HS256", fetched=Fetched()).verify(token("ES256"), NOW)


def test_keys_from_files_and_from_a_jwks_are_trusted_together() -> None:
    verifier = trusting("HS256", "EdDSA", fetched=Fetched(public_jwk("ES256", kid="a")))
    for good in (token(), token(header={"kid": "unnamed"}), token("EdDSA"), token("ES256", header={"kid": "a"})):
        assert verifier.verify(good, NOW).sub == "ann"
    assert Verifier(RULES, KeySet((hmac_key(SECRET),))).verify(token(), NOW).sub == "ann"
