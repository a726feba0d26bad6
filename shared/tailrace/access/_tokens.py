"""Service tokens: what producers and operators authenticate with at ingest.

The configuration holds the SHA-256 of a token, so a leaked file lets nobody in. Tokens are long and random; that is why a plain hash
is enough.
"""

import re
import tomllib
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Any

import msgspec

from tailrace.access._errors import PatternError
from tailrace.access._grant import ANY_FUNCTION
from tailrace.access._patterns import NOT_PRODUCED, Patterns, check_patterns, compile_patterns
from tailrace.wire import SetupError

_EVERYTHING = ("**", "all", "all:**", "client:**", "user:**")
_name = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
_digest = re.compile(r"[0-9A-Fa-f]{64}").fullmatch


class Producer(msgspec.Struct, frozen=True):
    """Who a service token stands for, and what it may do."""

    name: str
    """Its name in jobs, receipts, dead letters and log lines."""
    channels: Patterns
    """Where it pushes, and which conversations' runs it starts and stops."""
    functions: frozenset[str] = frozenset()
    """What it calls; `*` is every function."""
    admin: bool = False
    """Whether it may issue tickets, revoke, and reach other people's jobs and runs."""

    def may_push(self, channel: str) -> bool:
        """Return whether it may push to a channel."""
        return self.channels.match(channel)

    def may_stop(self, conversation: str) -> bool:
        """Return whether it may stop the runs of a conversation."""
        return self.channels.match(conversation)

    def may_call(self, function: str) -> bool:
        """Return whether it may call a function, or start a run of it."""
        return function in self.functions or ANY_FUNCTION in self.functions


class ServiceTokens:
    """The service tokens that a process accepts."""

    def __init__(self, tokens: Iterable[tuple[bytes, Producer]] = ()) -> None:
        self._tokens = list(tokens)

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self._tokens)

    def find(self, token: str) -> Producer | None:
        """Return whose token it is. The time this takes doesn't tell how close a wrong one came."""
        digest, found = sha256(token.encode(errors="replace")).digest(), None
        for known, producer in self._tokens:
            if compare_digest(digest, known):
                found = producer
        return found


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    sha256: str
    channels: list[str] = []
    functions: list[str] = []
    admin: bool = False


def read_service_tokens(push_token: str | None, path: str | Path | None) -> ServiceTokens:
    """Read `--push-token`, which may do everything, and the file of `--push-tokens`.

    Raises SetupError: the file can't be read, or an entry in it is wrong; the text names the entry and the field.
    """
    tokens = list[tuple[bytes, Producer]]()
    if push_token is not None:
        if not push_token:
            raise SetupError("--push-token: expected a token, got nothing")
        tokens.append((sha256(push_token.encode()).digest(), _everything()))
    if path is not None:
        try:
            tokens += parse_producers(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise SetupError(f"--push-tokens {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SetupError(f"--push-tokens {path}: not UTF-8") from None
        except SetupError as error:
            raise SetupError(f"--push-tokens {path}: {error}") from None
    return ServiceTokens(tokens)


def parse_producers(text: str) -> list[tuple[bytes, Producer]]:
    """Read `[[producer]]` tables (TOML): the SHA-256 of each token, and whose it is.

    Raises SetupError: the text names the entry and the field, and shows no value of `sha256`, where a token could stand by mistake.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SetupError(f"not TOML: {_position(error)}") from None
    entries = document.pop("producer", [])
    if document or not isinstance(entries, list) or not entries:
        raise SetupError("expected [[producer]] tables and nothing else")
    tokens = list[tuple[bytes, Producer]]()
    for number, entry in enumerate(entries, 1):
        token = _producer(entry, f"producer {number}")
        for known, producer in tokens:
            if producer.name == token[1].name:
                raise SetupError(f"producer {number}: name: {producer.name!r} is taken by an earlier one")
            if known == token[0]:
                raise SetupError(f"producer {number}: sha256: the same as that of {producer.name!r}")
        tokens.append(token)
    return tokens


def _producer(table: Any, label: str) -> tuple[bytes, Producer]:
    try:
        entry = msgspec.convert(table, _Entry)
    except msgspec.ValidationError as error:
        raise SetupError(f"{label}: {error}") from None
    if not _name(entry.name):
        raise SetupError(f"{label}: name: expected 1 to 64 characters of A-Z a-z 0-9 . _ -")
    label = f"{label} ({entry.name})"
    if not _digest(entry.sha256):
        raise SetupError(f'{label}: sha256: expected the 64 hex digits of a SHA-256 (printf %s "$TOKEN" | sha256sum)')
    try:
        channels = compile_patterns(check_patterns(entry.channels, without=NOT_PRODUCED))
    except PatternError as error:
        raise SetupError(f"{label}: channels: {error}") from None
    return bytes.fromhex(entry.sha256), Producer(entry.name, channels, frozenset(entry.functions), entry.admin)


def _position(error: Exception) -> str:
    """Where TOML is malformed; the rest of its message can show a part of the file."""
    place = re.search(r"\(at [a-z0-9 ,]+\)", str(error))
    return place[0] if place else "nested too deeply" if isinstance(error, RecursionError) else "malformed"


def _everything() -> Producer:
    return Producer("push-token", compile_patterns(_EVERYTHING), frozenset({ANY_FUNCTION}), admin=True)
