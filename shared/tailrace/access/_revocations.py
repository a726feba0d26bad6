"""What a revocation concerns, and the revocations that a process knows.

A revocation is read from every shard's log and set, so it comes several times. It acts when it is first seen, by its id.
"""

from collections.abc import Collection, Iterable
from heapq import heappop, heappush
from typing import Annotated, NamedTuple

import msgspec

from tailrace.access._errors import NotNowError, RevokedError
from tailrace.access._grant import Grant, UnixTime
from tailrace.access._patterns import NO_PATTERNS, Patterns

MAX_ANSWER_S = 300
"""The longest time that a webhook's answer is cached."""
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class Revocation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rights that are taken away. Times are in Unix seconds.

    Raises ValueError on construction: it names neither a person nor a channel, or a session without its person.
    """

    id: _Name
    before: UnixTime
    """Tokens and tickets issued earlier are concerned; with `sid` all of that session, whenever they were issued."""
    until: UnixTime
    """Nothing that it concerns can still be valid then, so it may be forgotten."""
    sub: _Name | None = None
    sid: _Name | None = None
    channel: _Name | None = None
    """Takes away this channel only."""

    def __post_init__(self) -> None:
        """Check that it has a target."""
        if self.sub is None and self.channel is None:
            raise ValueError("a revocation needs a `sub` or a `channel`")
        if self.sid is not None and self.sub is None:
            raise ValueError("a `sid` means something only together with its `sub`")

    def concerns(self, grant: Grant, channels: Collection[str]) -> bool:
        """Return whether it takes something away from a grant that is used for these channels.

        The grant of a hook isn't judged by a clock. A revocation that is seen for the first time concerns it whenever the target
        fits; see `Revocations.concerning` for one that was seen before. A hook's grant without a `sid` may belong to any session.
        """
        if self.sub is not None and self.sub != grant.sub:
            return False
        if self.channel is not None and self.channel not in channels:
            return False
        if self.sid is not None and self.sid != grant.sid:
            return grant.source == "hook" and grant.sid is None
        return grant.source == "hook" or self.sid is not None or grant.issued_at is None or grant.issued_at < self.before


def keep_until(before: float, max_grant_s: float, skew_s: float) -> float:
    """Return when a revocation may be forgotten: the last token that it concerns has ended then by any clock."""
    return before + max_grant_s + 2 * skew_s


class _Known(NamedTuple):
    revocation: Revocation
    ordinal: int


class Revocations:
    """The revocations that a process knows, found by person and by channel.

    Args:
        skew_s: how far two clocks may be apart. Redis forgets a revocation by its own clock, and one that is read again after it
            was forgotten here would act twice.
    """

    def __init__(self, skew_s: float) -> None:
        self._margin_s = 2 * skew_s
        self._known = dict[str, _Known]()
        self._targets = dict[tuple[str, str], dict[str, _Known]]()
        self._ends: list[tuple[float, str]] = []
        self.count = 0
        """How many have been learnt. A hook's grant remembers what this was when the question was asked."""

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._known)

    def learn(self, revocation: Revocation, now: float) -> bool:
        """Add a revocation; return whether it is seen for the first time and has to act."""
        if revocation.id in self._known:
            return False
        self.count += 1
        known = _Known(revocation, self.count)
        self._known[revocation.id] = known
        self._targets.setdefault(_target(revocation), {})[revocation.id] = known
        # An answer that was given before the revocation can be cached for this long, whatever `until` says.
        heappush(self._ends, (max(revocation.until, now + MAX_ANSWER_S) + self._margin_s, revocation.id))
        return True

    def forget(self, now: float) -> None:
        """Drop what isn't needed any longer."""
        while self._ends and self._ends[0][0] <= now:
            _, name = heappop(self._ends)
            known = self._known.pop(name)
            target = _target(known.revocation)
            self._targets[target].pop(name)
            if not self._targets[target]:
                del self._targets[target]

    def concerning(self, grant: Grant, channels: Collection[str], asked: int = 0) -> list[Revocation]:
        """Return the known revocations that concern a grant.

        Args:
            grant: the grant, in the step in which its stream can be found by later ones.
            channels: what it is used for.
            asked: `count` when a hook or webhook was asked for the grant. It knew of the revocations until then.
        """
        targets = [("sub", grant.sub), *[("channel", channel) for channel in channels]]
        return [
            known.revocation
            for target in targets
            for known in self._targets.get(target, {}).values()
            if known.revocation.concerns(grant, channels) and (grant.source != "hook" or known.ordinal > asked)
        ]


class Admission(NamedTuple):
    """Requested channels, in the order of the request."""

    granted: list[str]
    refused: list[str]
    revoked: list[str]


def admit(channels: Iterable[str], grant: Grant | None, known: Revocations, public: Patterns = NO_PATTERNS, *, asked: int = 0) -> Admission:
    """Decide what a stream may listen to. Call it in the step that enters the stream into `Streams`, with no await in between.

    Args:
        channels: what the client asks for.
        grant: what its credential allows; None where there is no credential.
        known: the revocations that the process knows.
        public: what everyone may listen to. No revocation takes it away.
        asked: see `Revocations.concerning`.

    Raises:
        RevokedError: a revocation concerns the grant as a whole.
        NotNowError: a revocation came while a hook or webhook was asked; it has to be asked again.
    """
    own, other, refused = list[str](), list[str](), list[str]()
    wanted = list(channels)
    for channel in wanted:
        if public.match(channel):
            other.append(channel)
        else:
            (own if grant is not None and grant.may_listen(channel) else refused).append(channel)
    if grant is None or not (found := known.concerning(grant, own, asked)):
        return Admission([channel for channel in wanted if channel not in refused], refused, [])
    if grant.source == "hook":
        raise NotNowError("rights changed while they were looked up")
    gone = {revocation.channel for revocation in found}
    if None in gone:
        raise RevokedError("the credential has been revoked")
    left = {*own, *other} - gone
    return Admission([channel for channel in wanted if channel in left], refused, [channel for channel in own if channel in gone])


def _target(revocation: Revocation) -> tuple[str, str]:
    return ("sub", revocation.sub) if revocation.sub is not None else ("channel", revocation.channel or "")
