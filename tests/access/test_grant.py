"""What a grant allows, verb by verb."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from tailrace.access import Grant, GrantError, PatternError, partition, public_patterns

EVERY = {"**": ["listen", "push", "stop"]}
GRANT = Grant("ann", {"chat:*": ["listen", "push"], "news:**": ["listen"], "job:{sub}": ["stop"], "all": ["listen"]}, {"answer": ["call"]})


@pytest.mark.parametrize(
    ("channel", "rights"),
    [
        ("chat:1", "listen push"),
        ("chat:1:2", ""),
        ("news:a:b", "listen"),
        ("job:ann", "stop"),
        ("job:bob", ""),
        ("all", "listen"),
        ("user:ann", "listen"),
        ("user:bob", ""),
        ("other", ""),
    ],
)
def test_verbs_are_granted_one_by_one(channel: str, rights: str) -> None:
    assert _rights(GRANT, channel) == rights.split()


@pytest.mark.parametrize(
    ("pattern", "channel", "rights"),
    [
        ("user:*", "user:bob", "push"),  # nobody listens to another person's channel
        ("user:*", "user:ann", "listen push"),  # the implicit channel
        ("user:**", "user:bob", "push"),
        ("client:*", "client:1", ""),  # service tokens only
        ("run:*", "run:1", ""),  # follows its conversation
        ("all", "all", "listen push stop"),
        ("**", "all", ""),
        ("**", "user:bob", ""),
        ("{sub}:*", "ann:x", "listen push stop"),
    ],
)
def test_reserved_channels_have_rules_of_their_own(pattern: str, channel: str, rights: str) -> None:
    assert _rights(Grant("ann", {pattern: ["listen", "push", "stop"]}), channel) == rights.split()


@pytest.mark.parametrize("sub", ["all", "user", "client", "run"])
def test_a_subject_cannot_take_the_place_of_a_reserved_segment(sub: str) -> None:
    grant = Grant(sub, {"{sub}": ["listen", "push"], "{sub}:*": ["listen", "push"]})
    assert [_rights(grant, channel) for channel in (sub, f"{sub}:bob")] == [[], []]


@pytest.mark.parametrize("sub", ["**", "*", "a:b", "auth0|1", "Zoë", "{sub}"])
def test_a_subject_never_becomes_a_pattern(sub: str) -> None:
    grant = Grant(sub, {"room:{sub}": ["listen"]})
    assert grant.may_listen("room:" + grant.user_channel.removeprefix("user:"))
    assert not any(map(grant.may_listen, ["room:x", "room:x:y", "room:a:b", "room:bob"]))


def test_functions_are_called_by_name() -> None:
    assert GRANT.may_call("answer")
    assert not GRANT.may_call("answers")
    assert not Grant("ann", {}, {"answer": []}).may_call("answer")
    assert Grant("ann", {}, {"*": ["call"]}).may_call("anything")


def test_since_is_the_latest_of_the_patterns_that_match() -> None:
    grant = Grant("ann", EVERY, since={"chat:*": 100, "chat:1": 200.5, "chat:**": 50})
    assert [grant.since_of(channel) for channel in ("chat:1", "chat:2", "chat:2:3", "news")] == [200.5, 100, 50, None]
    assert GRANT.since_of("chat:1") is None


def test_requested_channels_are_divided_in_order() -> None:
    asked = ["chat:1", "secret", "all", "user:ann", "user:bob", "open:1"]
    assert partition(asked, GRANT) == (["chat:1", "all", "user:ann"], ["secret", "user:bob", "open:1"])
    assert partition(asked, GRANT, public_patterns(["open:*"])) == (["chat:1", "all", "user:ann", "open:1"], ["secret", "user:bob"])
    assert partition(asked, None, public_patterns(["open:*"])) == (["open:1"], asked[:-1])
    assert partition(asked, None) == ([], asked)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"sub": 5}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": "a" * 101}, "sub"),
        ({"sub": "\ud800"}, "sub"),
        ({"channels": ["chat"]}, "channels"),
        ({"channels": {"chat": "listen"}}, "channels"),
        ({"channels": {"chat": ["publish"]}}, "channels"),
        ({"functions": {"f": ["push"]}}, "functions"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": math.nan}, "expires_at"),
        ({"expires_at": 1_764_547_675_000}, "expires_at"),
        ({"expires_at": True}, "expires_at"),
        ({"issued_at": -1}, "issued_at"),
        ({"sid": 1}, "sid"),
        ({"sid": "\ud800"}, "sid"),
        ({"since": {"chat": "x"}}, "since"),
        ({"source": "cookie"}, "source"),
        ({"source": "token"}, "issued_at"),
    ],
)
def test_a_malformed_grant_names_its_field(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(GrantError, match=rf"\$\.{where}"):
        Grant(**{"sub": "ann", **fields})


@pytest.mark.parametrize("field", ["channels", "since"])
def test_a_grant_with_a_bad_pattern_is_refused(field: str) -> None:
    fields: dict[str, Any] = {field: {"a*b": [] if field == "channels" else 1}}
    with pytest.raises(PatternError, match=r"a\*b"):
        Grant("ann", **fields)


def test_a_grant_that_is_decoded_is_checked_too() -> None:
    with pytest.raises(msgspec.ValidationError, match="bad pattern"):
        msgspec.json.decode(b'{"sub": "ann", "channels": {"a:**:b": ["listen"]}}', type=Grant)


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_nobody_ever_listens_to_the_channel_of_somebody_else(one: str, other: str) -> None:
    verbs = ["listen", "push", "stop"]
    try:
        mine, theirs = Grant(one, {"**": verbs, "user:**": verbs, "{sub}:**": verbs, "*:*": verbs}), Grant(other)
    except GrantError:
        return
    assert mine.may_listen(theirs.user_channel) == (one == other)


def _rights(grant: Grant, channel: str) -> list[str]:
    verbs = {"listen": grant.may_listen, "push": grant.may_push, "stop": grant.may_stop}
    return [verb for verb, may in verbs.items() if may(channel)]
