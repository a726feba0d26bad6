"""Which credential of a request decides."""

from typing import Any

import pytest

from tailrace.access import Credential, InsufficientScopeError, InvalidRequestError, InvalidTokenError, check_origin, pick_credential

COOKIE = "__Host-tailrace"


def pick(**given: Any) -> Credential | None:
    return pick_credential(given.pop("authorization", []), cookie_name=COOKIE, **given)


def test_without_any_there_is_none() -> None:
    assert pick() is None
    assert pick(cookies=[b"other=1; x__Host-tailrace=2; __Host-tailrace"]) is None


def test_authorization_comes_before_the_ticket_and_the_ticket_before_the_cookie() -> None:
    bearer, ticket, cookie = [b"Bearer a.b.c"], ["t-1"], [b"__Host-tailrace=x.y.z"]
    assert pick(authorization=bearer, tickets=ticket, cookies=cookie) == Credential("bearer", "a.b.c")
    assert pick(tickets=ticket, cookies=cookie) == Credential("ticket", "t-1")
    assert pick(cookies=cookie) == Credential("cookie", "x.y.z")


@pytest.mark.parametrize(
    "bad",
    [
        {"authorization": [b"Basic YTpi"]},
        {"authorization": [b""]},
        {"authorization": [b"Bearer"]},
        {"authorization": [b"Bearer "]},
        {"authorization": [b"Bearer a b"]},
        {"authorization": [b"Bearer \xff"]},
        {"authorization": [b"Bearer a.b.c, Bearer d.e.f"]},
        {"authorization": [b"Bearer " + b"a" * 16_385]},
        {"tickets": [""]},
        {"tickets": ["a b"]},
        {"tickets": ["é"]},
    ],
)
def test_a_bad_credential_is_not_a_missing_one(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidTokenError):
        pick(**bad, cookies=[b"__Host-tailrace=good"])


@pytest.mark.parametrize("value", [b"", b"a b", b"\xff", b'"', b"a" * 16_385])
def test_a_bad_cookie_is_not_a_missing_one(value: bytes) -> None:
    with pytest.raises(InvalidTokenError):
        pick(cookies=[b"__Host-tailrace=" + value])


@pytest.mark.parametrize(
    "twice",
    [
        {"authorization": [b"Bearer a", b"Bearer a"]},
        {"authorization": [b"Bearer a", b""]},
        {"tickets": ["a", "b"]},
        {"cookies": [b"__Host-tailrace=a; __Host-tailrace=b"]},
        {"cookies": [b"__Host-tailrace=a", b"__Host-tailrace=b"]},
        {"anonymous": ["1", "0"]},
        {"anonymous": ["yes"]},
    ],
)
def test_credentials_that_contradict_each_other_are_400(twice: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        pick(**twice)
    assert (refusal.value.status, refusal.value.code) == (400, "invalid_request")


def test_anonymous_ignores_credentials() -> None:
    assert pick(anonymous=["1"], authorization=[b"Bearer a", b"Basic b"], tickets=["t"], cookies=[b"__Host-tailrace=c"]) is None
    assert pick(anonymous=["0"], tickets=["t"]) == Credential("ticket", "t")


def test_the_scheme_is_read_in_any_case() -> None:
    assert pick(authorization=[b"bEARER  a.b-c_d~e+f/g=="]) == Credential("bearer", "a.b-c_d~e+f/g==")


def test_a_cookie_is_found_among_others_and_in_quotes() -> None:
    assert pick(cookies=[b"a=1", b'b=2;__Host-tailrace="x.y=z" ;c=3']) == Credential("cookie", "x.y=z")
    assert pick(cookies=[b"__Host-tailrace=a; __Host-tailrace=a"]) == Credential("cookie", "a")


def test_where_cookies_do_not_count_none_is_read() -> None:
    assert pick_credential([], cookies=[b"__Host-tailrace=a"]) is None


@pytest.mark.parametrize("kind", ["bearer", "ticket", "cookie"])
def test_a_credential_does_not_show_its_secret(kind: Any) -> None:
    assert "hush" not in f"{Credential(kind, 'hush')!r} {Credential(kind, 'hush')}"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "*", "https://app.example.evil", "http://app.example", ""])
def test_a_cookie_from_another_origin_is_refused(origin: str) -> None:
    with pytest.raises(InsufficientScopeError):
        check_origin(Credential("cookie", "c"), origin, "https://app.example", ["https://www.example", "*"])


def test_origins_matter_for_cookies_only() -> None:
    for origin in ("https://app.example", "https://www.example", None):
        check_origin(Credential("cookie", "c"), origin, "https://app.example", ["https://www.example"])
    for credential in (None, Credential("bearer", "b"), Credential("ticket", "t")):
        check_origin(credential, "https://evil.example", "https://app.example", [])
