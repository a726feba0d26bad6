"""What one credential allows."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

import msgspec

from tailrace.access._errors import GrantError
from tailrace.access._patterns import (
    NO_PATTERNS,
    NOT_LISTENED,
    NOT_PUSHED,
    Patterns,
    check_patterns,
    compile_escaped,
    compile_patterns,
    read_pattern,
    user_channel,
)
from tailrace.wire import USER_PREFIX, ChannelError

ANY_FUNCTION = "*"
"""In place of a function's name: every function."""
_NONE = frozenset[str]()
UnixTime = Annotated[float, msgspec.Meta(ge=0, lt=1e11)]
"""Unix seconds; from the year 5138 on they are milliseconds by mistake."""
Source = Literal["token", "ticket", "hook"]
Verb = Literal["listen", "push", "stop"]


class _Form(msgspec.Struct):
    """The fields of a grant as they have to be; msgspec checks them when it decodes, but not when Python code constructs one."""

    sub: str
    channels: dict[str, list[Verb]]
    functions: dict[str, list[Literal["call"]]]
    expires_at: UnixTime | None
    issued_at: UnixTime | None
    sid: str | None
    since: dict[str, UnixTime]
    source: Source


class Grant(msgspec.Struct, frozen=True, dict=True):
    """What a person may do, and until when. Times are in Unix seconds.

    Raises GrantError on construction: a field has the wrong form, a pattern can match no channel, or the subject can't appear in
    a channel name.
    """

    sub: str
    """The person. Their connections join `user:<sub>` without asking."""
    channels: Mapping[str, Sequence[str]] = {}
    """Verbs for each pattern: `listen`, `push`, `stop`."""
    functions: Mapping[str, Sequence[str]] = {}
    """Verbs for each function, or for `*`: `call`."""
    expires_at: float | None = None
    """When the grant ends. A hook's grant without it ends `max_grant_s` after the question was asked."""
    issued_at: float | None = None
    """The `iat` of a token; when a hook, webhook or ticket was asked."""
    sid: str | None = None
    """Session, from a token's claim `sid`. It means something only together with `sub`."""
    since: Mapping[str, float] = {}
    """For each pattern: nothing older is replayed or shown on these channels."""
    source: Source = "hook"
    """Where it comes from. Revocations judge tokens and tickets by `issued_at`; after one, a hook or webhook is asked again."""

    def __post_init__(self) -> None:
        """Check the fields, which an application or an issuer filled in."""
        try:
            msgspec.convert(self, _Form, from_attributes=True)
            for pattern in (*self.channels, *self.since):
                read_pattern(pattern)
            self.user_channel  # noqa: B018 - computed once, here
            (self.sid or "").encode()
        except msgspec.ValidationError as error:
            raise GrantError(f"bad grant: {error}") from None
        except ChannelError as error:
            raise GrantError(f"bad grant: {error} - at `$.sub`") from None
        except UnicodeEncodeError:
            raise GrantError("bad grant: a lone surrogate - at `$.sid`") from None
        if self.source != "hook" and self.issued_at is None:
            raise GrantError(f"bad grant: a {self.source} needs a time - at `$.issued_at`")

    @cached_property
    def user_channel(self) -> str:
        """Name of the person's own channel."""
        return user_channel(self.sub)

    def may_listen(self, channel: str) -> bool:
        """Return whether the person may read a channel, including what it keeps."""
        return channel == self.user_channel or self._listen.match(channel)

    def may_push(self, channel: str) -> bool:
        """Return whether the person may push to a channel."""
        return self._push.match(channel)

    def may_stop(self, conversation: str) -> bool:
        """Return whether the person may stop the runs of a conversation."""
        return self._stop.match(conversation)

    def may_call(self, function: str) -> bool:
        """Return whether the person may call a function, or start a run of it."""
        return "call" in self.functions.get(function, ()) or "call" in self.functions.get(ANY_FUNCTION, ())

    def since_of(self, channel: str) -> float | None:
        """Return the time before which nothing of a channel is shown; None is no limit."""
        return max((time for patterns, time in self._since if patterns.match(channel)), default=None) if self.since else None

    @cached_property
    def _listen(self) -> Patterns:
        return self._compiled("listen", NOT_LISTENED)

    @cached_property
    def _push(self) -> Patterns:
        return self._compiled("push", NOT_PUSHED)

    @cached_property
    def _stop(self) -> Patterns:
        return self._compiled("stop", NOT_LISTENED)

    @cached_property
    def _since(self) -> Sequence[tuple[Patterns, float]]:
        return [(compile_escaped([pattern], self._literal, without=_NONE), time) for pattern, time in self.since.items()]

    def _compiled(self, verb: str, without: frozenset[str]) -> Patterns:
        return compile_escaped([pattern for pattern, verbs in self.channels.items() if verb in verbs], self._literal, without=without)

    @property
    def _literal(self) -> str:
        """The subject as it appears in channel names."""
        return self.user_channel[len(USER_PREFIX) :]


class Partition(NamedTuple):
    """Requested channels, in the order of the request."""

    granted: list[str]
    refused: list[str]


def partition(channels: Iterable[str], grant: Grant | None, public: Patterns = NO_PATTERNS) -> Partition:
    """Divide the channels that a client asks to listen to: those granted or public, and those refused."""
    granted, refused = list[str](), list[str]()
    for channel in channels:
        allowed = public.match(channel) or (grant is not None and grant.may_listen(channel))
        (granted if allowed else refused).append(channel)
    return Partition(granted, refused)


def public_patterns(patterns: Iterable[str]) -> Patterns:
    """Compile what everyone may listen to without a credential (`--public`).

    Raises PatternError: a pattern can match no channel, has `{sub}`, or begins with `client`, `user` or `run`.
    """
    return compile_patterns(check_patterns(patterns, without=NOT_LISTENED))
