"""Revocations: whom they concern, what a process knows of them, and the streams that they find."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tailrace.access import Grant, NotNowError, Revocation, Revocations, RevokedError, Streams, admit, keep_until, public_patterns
from tailrace.access._revocations import MAX_ANSWER_S

SKEW, LONGEST = 6, 60
SUBS, SIDS, CHANNELS = ["ann", "bob"], ["s0", "s1"], ["a", "b", "c"]
times = st.integers(1000, 1020)
grants = st.builds(
    Grant,
    st.sampled_from(SUBS),
    st.lists(st.sampled_from([*CHANNELS, "*"]), max_size=3).map(lambda names: {name: ["listen"] for name in names}),
    expires_at=times.map(lambda at: at + LONGEST),
    issued_at=times,
    sid=st.none() | st.sampled_from(SIDS),
    source=st.sampled_from(["token", "token", "ticket", "hook"]),
)
channel_lists = st.lists(st.sampled_from(CHANNELS), unique=True)


@st.composite
def revocations(draw: Any) -> Revocation:
    sub = draw(st.none() | st.sampled_from(SUBS))
    sid = draw(st.none() | st.sampled_from(SIDS)) if sub else None
    channel = draw(st.sampled_from(CHANNELS) if sub is None else st.none() | st.sampled_from(CHANNELS))
    before = draw(times)
    name = f"r{draw(st.integers(0, 10**9))}"
    return Revocation(name, before, keep_until(before, LONGEST, SKEW), sub, sid, channel)


def hits(revoked: Revocation, grant: Grant, channels: list[str], learnt: int, asked: int) -> bool:
    """Whether a revocation concerns a grant: the rule of the executable model, word by word.

    Its grants all have a session. Where a hook names none, it may be any.
    """
    if revoked.sid is not None and revoked.sid != grant.sid and not (grant.source == "hook" and grant.sid is None):
        return False
    if revoked.sub not in (None, grant.sub):
        return False
    if revoked.channel is not None and revoked.channel not in channels:
        return False
    if grant.source == "hook":
        return learnt > asked
    return revoked.sid is not None or grant.issued_at is None or grant.issued_at < revoked.before


@given(revocations(), grants, channel_lists)
def test_a_new_revocation_concerns_what_the_model_says(revoked: Revocation, grant: Grant, channels: list[str]) -> None:
    assert revoked.concerns(grant, channels) == hits(revoked, grant, channels, 1, 0)


@given(st.lists(revocations(), unique_by=lambda r: r.id), grants, channel_lists, st.integers(0, 10))
def test_known_revocations_concern_what_the_model_says(several: list[Revocation], grant: Grant, channels: list[str], asked: int) -> None:
    known = Revocations(SKEW)
    assert all(known.learn(revoked, 1000) for revoked in several)
    assert not any(known.learn(revoked, 1000) for revoked in several)
    expected = [revoked for number, revoked in enumerate(several, 1) if hits(revoked, grant, channels, number, asked)]
    assert sorted(r.id for r in known.concerning(grant, channels, asked)) == sorted(r.id for r in expected)


@given(
    st.lists(revocations(), unique_by=lambda r: r.id, max_size=5),
    grants,
    channel_lists,
    st.integers(0, 5),
    st.sampled_from([[], ["a"], ["*"]]),
)
def test_a_stream_is_admitted_as_the_model_says(
    several: list[Revocation], grant: Grant, wanted: list[str], asked: int, public: list[str]
) -> None:
    known, open_to_all = Revocations(SKEW), public_patterns(public)
    for revoked in several:
        known.learn(revoked, 1000)
    found = [revoked for number, revoked in enumerate(several, 1) if hits(revoked, grant, wanted, number, asked)]
    private = [channel for channel in wanted if not open_to_all.match(channel)]
    gone = {
        revoked.channel
        for revoked in found
        if revoked.channel is None or (revoked.channel in private and grant.may_listen(revoked.channel))
    }
    try:
        admission = admit(wanted, grant, known, open_to_all, asked=asked)
    except RevokedError:
        assert None in gone
        assert grant.source != "hook"
    except NotNowError:
        assert gone
        assert grant.source == "hook"
    else:
        assert None not in gone
        assert not (gone and grant.source == "hook")
        assert admission.granted == [c for c in wanted if (open_to_all.match(c) or grant.may_listen(c)) and c not in gone]
        assert admission.refused == [c for c in private if not grant.may_listen(c)]
        assert admission.revoked == [c for c in wanted if c in gone]


def test_nothing_is_taken_from_who_has_no_credential() -> None:
    known = Revocations(SKEW)
    known.learn(Revocation("r", 1000, 2000, channel="a"), 1000)
    assert admit(["a", "b"], None, known, public_patterns(["a"])) == (["a"], ["b"], [])
    assert admit(["a"], Grant("ann", {"a": ["listen"]}, issued_at=1, source="token"), known, public_patterns(["a"])).granted == ["a"]


@pytest.mark.parametrize("source", ["token", "ticket"])
def test_who_is_let_in_again_with_exactly_the_time_of_the_revocation_is_not_concerned(source: Any) -> None:
    revoked = Revocation("r", 1000.5, 2000, "ann")
    assert [revoked.concerns(Grant("ann", issued_at=at, source=source), []) for at in (1000.499, 1000.5, 1001)] == [True, False, False]


def test_a_session_is_revoked_whenever_its_tokens_were_issued() -> None:
    revoked = Revocation("r", 1000, 2000, "ann", "s0")
    tokens = [
        Grant(sub, issued_at=5000, sid=sid, source="token") for sub, sid in (("ann", "s0"), ("ann", "s1"), ("bob", "s0"), ("ann", None))
    ]
    assert [revoked.concerns(grant, []) for grant in tokens] == [True, False, False, False]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "needs a `sub` or a `channel`"),
        ({"sid": "s"}, "needs a `sub`"),
        ({"sid": "s", "channel": "a"}, "together with its `sub`"),
        ({"sub": ""}, r"\$\.sub"),
        ({"sub": 5}, r"\$\.sub"),
        ({"sub": "ann", "before": "now"}, r"\$\.before"),
        ({"sub": "ann", "before": 1_764_547_675_000}, r"\$\.before"),
        ({"sub": "ann", "id": ""}, r"\$\.id"),
    ],
)
def test_a_revocation_without_a_target_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why):
        msgspec.json.decode(msgspec.json.encode({"id": "r", "before": 1, "until": 2, **fields}), type=Revocation)


@given(revocations())
def test_a_revocation_is_the_same_after_a_wire(revoked: Revocation) -> None:
    encoded = msgspec.json.encode(revoked)
    assert msgspec.json.decode(encoded, type=Revocation) == revoked
    later = msgspec.json.encode({**msgspec.json.decode(encoded), "new": 1})  # a newer writer's field
    assert msgspec.json.decode(later, type=Revocation) == revoked


@given(st.lists(revocations(), unique_by=lambda r: r.id), st.integers(1000, 1500))
def test_a_revocation_is_forgotten_when_neither_a_token_nor_an_answer_can_need_it(several: list[Revocation], now: int) -> None:
    known = Revocations(SKEW)
    for revoked in several:
        known.learn(revoked, 1000)
    known.forget(now)
    kept = [r for r in several if max(r.until, 1000 + MAX_ANSWER_S) + 2 * SKEW > now]
    assert len(known) == len(kept)
    for revoked in kept:
        assert not known.learn(revoked, now)
    known.forget(10**6)
    assert (len(known), known._targets, known._ends) == (0, {}, [])


@given(times, times, st.integers(-SKEW, SKEW), st.integers(-SKEW, SKEW))
def test_no_token_outlives_the_revocation_that_concerns_it(before: int, issued: int, redis_skew: int, edge_skew: int) -> None:
    """By whoever's clock it is forgotten: the last token that it concerns has ended by the edge's."""
    grant = Grant("ann", issued_at=issued, expires_at=issued + LONGEST, source="token")
    revoked = Revocation("r", before, keep_until(before, LONGEST, SKEW), "ann")
    if revoked.concerns(grant, []):
        forgotten_at = revoked.until - redis_skew
        assert grant.expires_at is not None
        assert grant.expires_at <= forgotten_at + edge_skew


@dataclass(eq=False)
class Stream:
    grant: Grant
    channels: list[str]


class Index(RuleBasedStateMachine):
    """Streams come and go; what the index finds is what a look at every one finds."""

    streams = Bundle("streams")

    def __init__(self) -> None:
        super().__init__()
        self.index = Streams[Stream]()
        self.live = list[Stream]()

    @rule(target=streams, grant=grants, channels=channel_lists)
    def enter(self, grant: Grant, channels: list[str]) -> Stream:
        stream = Stream(grant, channels)
        self.index.enter(stream, grant, channels)
        self.live.append(stream)
        return stream

    @rule(stream=consumes(streams))
    def leave(self, stream: Stream) -> None:
        self.index.leave(stream)
        self.index.leave(stream)
        self.live.remove(stream)

    @rule(target=streams, stream=consumes(streams))
    def enter_twice(self, stream: Stream) -> Any:
        with pytest.raises(ValueError, match="entered already"):
            self.index.enter(stream, stream.grant, stream.channels)
        return stream

    @rule(revoked=revocations())
    def find(self, revoked: Revocation) -> None:
        found = self.index.find(revoked)
        expected = [stream for stream in self.live if hits(revoked, stream.grant, stream.channels, 1, 0)]
        assert len(found) == len(expected)
        assert {*found} == {*expected}

    @rule(sub=st.sampled_from(SUBS))
    def find_sub(self, sub: str) -> None:
        assert {*self.index.find_sub(sub)} == {stream for stream in self.live if stream.grant.sub == sub}

    @invariant()
    def keeps_nothing_of_who_left(self) -> None:
        assert len(self.index) == len(self.live)
        assert {*self.index._by_sub} == {stream.grant.sub for stream in self.live}
        assert {*self.index._by_channel} == {channel for stream in self.live for channel in stream.channels}


TestIndex = Index.TestCase
TestIndex.settings = settings(max_examples=50, stateful_step_count=30)
