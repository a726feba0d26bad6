"""Service tokens: whose a token is, what it may do, and what a file that is wrong says."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tailrace.access import ServiceTokens, read_service_tokens
from tailrace.wire import SetupError

TOKEN, OTHER = "shop-token-made-up", "bot-token-made-up"


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def toml(*entries: dict[str, Any]) -> str:
    return "".join("[[producer]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items()) for entry in entries)


def shop(**changes: Any) -> dict[str, Any]:
    entry = {"name": "shop", "sha256": digest(TOKEN), "channels": ["order:*", "user:*", "client:*"], "functions": ["mail"]}
    return {key: value for key, value in {**entry, **changes}.items() if value is not None}


def read(tmp_path: Path, text: str | bytes, push_token: str | None = None) -> ServiceTokens:
    (tmp_path / "tokens.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_service_tokens(push_token, tmp_path / "tokens.toml")


def refusal(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(SetupError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(f"--push-tokens {tmp_path / 'tokens.toml'}: ")
    assert TOKEN not in str(refused.value)
    return str(refused.value)


def test_a_token_is_found_among_several(tmp_path: Path) -> None:
    tokens = read(tmp_path, toml(shop(), shop(name="bot", sha256=digest(OTHER).upper(), admin=True)), "the-push-token")
    names = [(producer.name, producer.admin) for token in (TOKEN, OTHER, "the-push-token") if (producer := tokens.find(token))]
    assert names == [("shop", False), ("bot", True), ("push-token", True)]


@pytest.mark.parametrize("wrong", ["", TOKEN[:-1], TOKEN + " ", TOKEN.upper(), digest(TOKEN), "é", "\ud800"])
def test_a_wrong_token_is_nobodys(tmp_path: Path, wrong: str) -> None:
    assert read(tmp_path, toml(shop()), "another").find(wrong) is None


def test_without_tokens_there_is_none() -> None:
    assert not read_service_tokens(None, None)
    assert read_service_tokens(None, None).find("") is None
    assert read_service_tokens("x", None)


def test_a_producer_pushes_calls_and_stops_within_its_patterns(tmp_path: Path) -> None:
    producer = read(tmp_path, toml(shop())).find(TOKEN)
    assert producer is not None
    channels = ["order:1", "order:1:2", "user:ann", "client:1", "all", "run:1", "other"]
    assert [channel for channel in channels if producer.may_push(channel)] == ["order:1", "user:ann", "client:1"]
    assert [channel for channel in channels if producer.may_stop(channel)] == ["order:1", "user:ann", "client:1"]
    assert [name for name in ("mail", "other") if producer.may_call(name)] == ["mail"]


def test_the_push_token_does_everything_but_push_into_runs() -> None:
    producer = read_service_tokens(TOKEN, None).find(TOKEN)
    assert producer is not None
    assert all(map(producer.may_push, ["order:1", "all", "all:x", "user:ann", "client:1", "client:a:b", "x"]))
    assert not producer.may_push("run:1")
    assert producer.may_call("anything")
    assert producer.admin


def test_no_rights_are_the_default(tmp_path: Path) -> None:
    producer = read(tmp_path, toml(shop(channels=None, functions=None))).find(TOKEN)
    assert producer is not None
    assert (producer.may_push("x"), producer.may_call("mail"), producer.admin) == (False, False, False)


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        (shop(name=None), "`name`"),
        (shop(name=""), "name: expected"),
        (shop(name="a b"), "name: expected"),
        (shop(name="a" * 65), "name: expected"),
        (shop(name=5), "$.name"),
        (shop(sha256=None), "`sha256`"),
        (shop(sha256=TOKEN), "(shop): sha256: expected the 64 hex digits"),
        (shop(sha256=digest(TOKEN)[:-1]), "(shop): sha256"),
        (shop(sha256=5), "$.sha256"),
        (shop(channels="order:*"), "$.channels"),
        (shop(channels=["a*"]), "(shop): channels: bad pattern 'a*'"),
        (shop(channels=["room:{sub}"]), "(shop): channels: bad pattern"),
        (shop(channels=["run:*"]), "(shop): channels: bad pattern"),
        (shop(functions=[1]), "$.functions[0]"),
        (shop(admin="yes"), "$.admin"),
        (shop(token=TOKEN), "`token`"),
        (shop(channel=["x"]), "`channel`"),
    ],
)
def test_an_entry_that_is_wrong_is_named_with_its_field(tmp_path: Path, entry: dict[str, Any], where: str) -> None:
    text = refusal(tmp_path, toml(shop(name="first", sha256=digest(OTHER)), entry))
    assert "producer 2" in text
    assert where in text


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (toml(shop(), shop(sha256=digest(OTHER))), "producer 2: name: 'shop' is taken"),
        (toml(shop(), shop(name="bot")), "producer 2: sha256: the same as that of 'shop'"),
        ("[producer]\nname = 'x'", "expected [[producer]] tables"),
        ("[[producers]]\nname = 'x'", "expected [[producer]] tables"),
        ("producer = [1]", "producer 1"),
        ("", "expected [[producer]] tables"),
        ("producer = []", "expected [[producer]] tables"),
        (f"token = {TOKEN}", "not TOML: (at line 1, column"),
        (f"[[producer]]\nsha256 = '{TOKEN}", "not TOML: (at end of document)"),
        ("a = " + "[" * 5000, "not TOML"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str | bytes, where: str) -> None:
    assert where in refusal(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="nothing: No such file"):
        read_service_tokens(None, tmp_path / "nothing")


def test_an_empty_push_token_is_refused() -> None:
    with pytest.raises(SetupError, match="--push-token"):
        read_service_tokens("", None)


def test_a_token_shows_in_no_repr(tmp_path: Path) -> None:
    tokens = read(tmp_path, toml(shop()), OTHER)
    shown = f"{tokens!r} {tokens.find(TOKEN)!r}"
    assert not any(secret in shown for secret in (TOKEN, OTHER, digest(TOKEN)))
