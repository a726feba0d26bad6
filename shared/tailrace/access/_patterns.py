"""Patterns of channel names: `chat:*`, `news:**`, `inbox:{sub}`.

A pattern is split at `:` and compared segment by segment. `*` stands for exactly one segment, a final `**` for one or more, `{sub}`
for the subject of the grant. A subject is untrusted: it is inserted after the pattern is split, as one literal segment, so that a
subject `**` or `a:b` matches only itself.

A reserved first segment matches only a pattern that spells it out; a wildcard or `{sub}` in first place doesn't. A pattern whose
first segment is reserved counts for some rights only, which `compile_patterns` is told as `without`.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from tailrace.access._errors import PatternError
from tailrace.wire import ALL, CLIENT_PREFIX, USER_PREFIX, ChannelError

RESERVED = frozenset({ALL, CLIENT_PREFIX[:-1], USER_PREFIX[:-1], "run"})
"""First segments of channels with rules of their own."""
NOT_LISTENED = frozenset({"client", "user", "run"})
"""Reserved segments whose patterns let nobody listen, nor stop."""
NOT_PUSHED = frozenset({"client", "run"})
"""Reserved segments whose patterns let no person push."""
NOT_PRODUCED = frozenset({"run"})
"""Reserved segments whose patterns let no service push."""
MAX_PATTERN = 128
MAX_SUBJECT = 100
"""Characters of a subject as it appears in channel names."""
_ONE, _MANY, _SUB = "*", "**", "{sub}"
_segment = re.compile(r"[A-Za-z0-9._~-]*").fullmatch
_plain = re.compile(r"[A-Za-z0-9._-]*").fullmatch
_outside = re.compile(rb"[^A-Za-z0-9._-]")


class Wildcards(msgspec.Struct, frozen=True):
    """A pattern that has to be compared segment by segment."""

    segments: tuple[str | None, ...]
    """Its segments without the final `**`; None is `*`."""
    many: bool
    """Whether `**` follows."""

    def match(self, segments: list[str], *, reserved: bool) -> bool:
        """Compare with the segments of a channel, whose first may be reserved."""
        count = len(self.segments)
        if len(segments) <= count if self.many else len(segments) != count:
            return False
        if reserved and (not count or self.segments[0] is None):
            return False
        for want, segment in zip(self.segments, segments, strict=False):  # noqa: SIM110 - all() doubles the time
            if want is not None and want != segment:
                return False
        return True


class Patterns(msgspec.Struct, frozen=True):
    """Compiled patterns: a match costs two set look-ups and a `startswith`, unless one has a `*` before its end."""

    exact: frozenset[str] = frozenset()
    parents: frozenset[str] = frozenset()
    """`chat` for `chat:*`."""
    prefixes: tuple[str, ...] = ()
    """`news:` for `news:**`."""
    wildcards: tuple[Wildcards, ...] = ()

    def match(self, channel: str) -> bool:
        """Return whether any of the patterns matches a valid channel name."""
        if channel in self.exact or channel.startswith(self.prefixes):
            return True
        parent, colon, _ = channel.rpartition(":")
        if colon and parent in self.parents:
            return True
        if not self.wildcards:
            return False
        segments = channel.split(":")
        reserved = segments[0] in RESERVED
        for pattern in self.wildcards:  # noqa: SIM110 - any() doubles the time
            if pattern.match(segments, reserved=reserved):
                return True
        return False


NO_PATTERNS = Patterns()


class _Form(NamedTuple):
    """What a pattern compiles to."""

    first: str
    kind: Literal["exact", "parent", "prefix", "wildcards", "sub"]
    """With `sub` it depends on the subject."""
    value: Any


def compile_patterns(patterns: Iterable[str], subject: str | None = None, *, without: frozenset[str] = frozenset()) -> Patterns:
    """Compile patterns, leaving out those that begin with one of the reserved segments in `without`.

    Raises:
        PatternError: a pattern can match no channel, or has `{sub}` where there is no subject.
        ChannelError: the subject has no name that a channel could contain.
    """
    return compile_escaped(patterns, None if subject is None else escape_subject(subject), without=without)


def compile_escaped(patterns: Iterable[str], literal: str | None, *, without: frozenset[str]) -> Patterns:
    """Compile patterns for a subject that is already escaped. Raises PatternError."""
    found: dict[str, list[Any]] = {"exact": [], "parent": [], "prefix": [], "wildcards": []}
    for pattern in patterns:
        form = read_pattern(pattern)
        if form.kind == "sub":
            if literal is None:
                raise PatternError(f"bad pattern {pattern!r}: there is no subject here for {_SUB}")
            if form.first == _SUB and literal in RESERVED:
                continue
            form = _form(tuple([literal if segment == _SUB else segment for segment in form.value]))
        if form.first not in without:
            found[form.kind].append(form.value)
    return Patterns(frozenset(found["exact"]), frozenset(found["parent"]), tuple(found["prefix"]), tuple(found["wildcards"]))


def _form(segments: tuple[str, ...]) -> _Form:
    *fixed, last = segments
    first = segments[0]
    if _ONE in fixed or (not fixed and last in (_ONE, _MANY)):
        ends = fixed if last == _MANY else segments
        return _Form(first, "wildcards", Wildcards(tuple([None if segment == _ONE else segment for segment in ends]), last == _MANY))
    if last == _MANY:
        return _Form(first, "prefix", ":".join(fixed) + ":")
    if last == _ONE:
        return _Form(first, "parent", ":".join(fixed))
    return _Form(first, "exact", ":".join(segments))


def check_patterns(patterns: Iterable[str], *, without: frozenset[str] = frozenset()) -> list[str]:
    """Return the patterns of a setting, which has no subject and must be of use.

    Raises PatternError: a pattern can match no channel, has `{sub}`, or begins with one of the reserved segments in `without`.
    """
    checked = list(patterns)
    for pattern in checked:
        form = read_pattern(pattern)
        if form.kind == "sub":
            raise PatternError(f"bad pattern {pattern!r}: there is no subject here for {_SUB}")
        if form.first in without:
            raise PatternError(f"bad pattern {pattern!r}: `{form.first}:` channels are not granted by a pattern here")
    return checked


def escape_subject(subject: str) -> str:
    """Write a subject as it appears in channel names: each byte outside `[A-Za-z0-9._-]` as `~` and two hex digits.

    Raises ChannelError: it is empty, isn't Unicode, or is longer than 100 characters then.
    """
    if not subject or len(subject) > MAX_SUBJECT:
        raise ChannelError(f"bad subject: expected 1 to {MAX_SUBJECT} characters")
    if _plain(subject):
        return subject
    try:
        escaped = _outside.sub(lambda byte: b"~%02x" % ord(byte[0]), subject.encode()).decode()
    except UnicodeEncodeError:
        raise ChannelError("bad subject: it contains a lone surrogate") from None
    if len(escaped) > MAX_SUBJECT:
        raise ChannelError(f"bad subject: longer than {MAX_SUBJECT} characters where each byte outside [A-Za-z0-9._-] is written as ~xx")
    return escaped


def user_channel(sub: str) -> str:
    """Name the channel of all connections of one subject.

    Raises ChannelError: no channel can be named after it (see `escape_subject`).
    """
    return USER_PREFIX + escape_subject(sub)


@lru_cache(maxsize=4096)  # the same few patterns come with every token
def read_pattern(pattern: str) -> _Form:
    """Split a pattern into its segments, and classify it.

    Raises PatternError: it can match no channel.
    """
    if not 0 < len(pattern) <= MAX_PATTERN:
        raise PatternError(f"bad pattern {pattern[:MAX_PATTERN]!r}: expected 1 to {MAX_PATTERN} characters")
    segments = tuple(pattern.split(":"))
    if _MANY in segments[:-1]:
        raise PatternError(f"bad pattern {pattern!r}: only the last segment can be {_MANY}")
    for segment in segments:
        if segment not in (_ONE, _MANY, _SUB) and not _segment(segment):
            rule = f"each segment is {_ONE}, {_SUB}, or characters of A-Z a-z 0-9 . _ ~ -; the last can be {_MANY}"
            raise PatternError(f"bad pattern {pattern!r}: {rule}")
    return _Form(segments[0], "sub", segments) if _SUB in segments else _form(segments)
