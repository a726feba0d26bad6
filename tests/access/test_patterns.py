"""The pattern language, against a naive matcher."""

from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from tailrace.access import PatternError, compile_patterns, escape_subject, public_patterns, user_channel
from tailrace.access._patterns import NOT_LISTENED, NOT_PUSHED, RESERVED
from tailrace.wire import ChannelError, check_channel

SUBJECTS = ["**", "*", "a:b", "auth0|1", "Zoë", "日本", "all", "user", "run", "client", "~7c", "{sub}", "a/b?c=d", ".", "-", "ann"]


def naive(pattern: list[str], channel: list[str], subject: str, *, first: bool = True) -> bool:
    """Match segment by segment, as the language is described."""
    if not pattern:
        return not channel
    want, *rest = pattern
    if first and channel and channel[0] in RESERVED and want in ("*", "**", "{sub}"):
        return False
    if want == "**":
        return len(channel) >= 1
    if not channel:
        return False
    literal = "".join(chr(b) if chr(b) in LITERAL else f"~{b:02x}" for b in subject.encode()) if want == "{sub}" else want
    return (want == "*" or literal == channel[0]) and naive(rest, channel[1:], subject, first=False)


LITERAL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
WORDS = ["a", "b", "all", "user", "client", "run", "~2a", "a~3ab", ""]
subjects = st.sampled_from(SUBJECTS) | st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)  # 96 characters when written
segments = st.sampled_from([*WORDS, "*", "{sub}"])
patterns = st.tuples(st.lists(segments, max_size=4), st.sampled_from([*WORDS, "*", "**", "{sub}"])).map(lambda p: ":".join([*p[0], p[1]]))
patterns = patterns.filter(bool)


@st.composite
def channels_and_subject(draw: Any) -> tuple[str, str]:
    subject = draw(subjects)
    words = st.sampled_from([*WORDS, escape_subject(subject)])
    return draw(st.lists(words, min_size=1, max_size=5).map(":".join).filter(bool)), subject


@given(st.lists(patterns, max_size=4), channels_and_subject())
@example(["**"], ("all", "ann"))
@example(["{sub}"], ("all", "all"))
@example(["{sub}:*"], ("user:bob", "user"))
@example(["room:{sub}"], ("room:a:b", "a:b"))
@example(["room:{sub}"], ("room:x:y", "**"))
@example(["*:b"], ("user:b", "ann"))
@example(["a:*"], ("a:", "ann"))
@example(["a:**"], ("a", "ann"))
def test_a_match_is_what_the_naive_matcher_says(several: list[str], asked: tuple[str, str]) -> None:
    channel, subject = asked
    expected = any(naive(pattern.split(":"), channel.split(":"), subject) for pattern in several)
    assert compile_patterns(several, subject).match(channel) == expected


@given(st.lists(patterns, max_size=4), channels_and_subject(), st.sampled_from([NOT_LISTENED, NOT_PUSHED]))
def test_patterns_that_spell_out_an_excluded_segment_grant_nothing(
    several: list[str], asked: tuple[str, str], without: frozenset[str]
) -> None:
    channel, subject = asked
    expected = channel.split(":")[0] not in without and any(naive(p.split(":"), channel.split(":"), subject) for p in several)
    assert compile_patterns(several, subject, without=without).match(channel) == expected


@pytest.mark.parametrize(
    ("pattern", "channel", "matches"),
    [
        ("news", "news", True),
        ("news", "news:a", False),
        ("news:*", "news:a", True),
        ("news:*", "news", False),
        ("news:*", "news:a:b", False),
        ("news:**", "news:a:b", True),
        ("news:**", "news", False),
        ("*", "news", True),
        ("*:b:*", "a:b:c", True),
        ("*:b:**", "a:b", False),
        ("**", "a:b:c", True),
        ("**", "all", False),
        ("*", "all", False),
        ("**", "user:ann", False),
        ("*:ann", "user:ann", False),
        ("**", "run:1", False),
        ("**", "client:1", False),
        ("**", "allotment", True),
        ("all", "all", True),
        ("user:*", "user:bob", True),
        ("user:{sub}", "user:ann", True),
        ("user:{sub}", "user:bob", False),
    ],
)
def test_table(pattern: str, channel: str, *, matches: bool) -> None:
    assert compile_patterns([pattern], "ann").match(channel) is matches


@pytest.mark.parametrize("pattern", ["", "a*", "*a", "a:**:b", "**:a", "{sub}x", "x{sub}", "{Sub}", "a b", "é", "a\n", "a:***", "a" * 129])
def test_a_pattern_that_can_match_no_channel_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match="bad pattern"):
        compile_patterns([pattern], "ann")


@given(subjects)
def test_a_subject_is_one_segment_of_a_channel_name(subject: str) -> None:
    channel = check_channel(user_channel(subject))
    assert channel.count(":") == 1
    restored = b"".join(
        bytes.fromhex(part[:2]) + part[2:].encode() if number else part.encode() for number, part in enumerate(channel[5:].split("~"))
    )
    assert restored.decode() == subject


@given(subjects, subjects)
def test_two_subjects_never_share_a_channel(one: str, other: str) -> None:
    assert (user_channel(one) == user_channel(other)) == (one == other)


@pytest.mark.parametrize(
    ("subject", "channel"), [("auth0|1", "user:auth0~7c1"), ("a:b", "user:a~3ab"), ("**", "user:~2a~2a"), ("~", "user:~7e")]
)
def test_a_subject_is_escaped_byte_by_byte(subject: str, channel: str) -> None:
    assert user_channel(subject) == channel


@pytest.mark.parametrize("subject", ["", "a" * 101, "é" * 17, "\ud800"])
def test_a_subject_without_a_channel_is_refused(subject: str) -> None:
    with pytest.raises(ChannelError, match="bad subject"):
        user_channel(subject)


def test_the_longest_subject_has_a_channel() -> None:
    assert len(check_channel(user_channel("é" * 16 + "abcd"))) == 105
    assert len(check_channel(user_channel("a" * 100))) == 105


@pytest.mark.parametrize("pattern", ["user:*", "client:x", "run:**", "run", "a:{sub}"])
def test_what_can_be_public_to_nobody_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match="bad pattern"):
        public_patterns(["news:**", pattern])


def test_public_patterns_match() -> None:
    public = public_patterns(["news:**", "all"])
    assert [channel for channel in ("all", "news:a", "chat:1", "user:ann") if public.match(channel)] == ["all", "news:a"]
