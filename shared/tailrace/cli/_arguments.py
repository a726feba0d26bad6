"""The parser that all commands share, and the types of their arguments."""

import argparse
import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

from tailrace.wire import ChannelError, check_channel

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_LETTER = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_MAX_DIGITS = 12


class Parser(argparse.ArgumentParser):
    """Accepts flags anywhere among the arguments; argparse alone drops an optional argument at the first flag."""

    _mixing = False

    def parse_known_args(  # type: ignore[override]  # one signature for typeshed's three
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        if self._mixing or self._subparsers is not None:  # which argparse can't mix
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and name the help, where argparse would print the whole usage."""
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def duration(text: str) -> float:
    """Read `10s`, `1.5m`, `500ms` or seconds without a unit."""
    match = _DURATION.fullmatch(text if text[-1:].isalpha() else f"{text}s")
    if not match or len(match[1]) > _MAX_DIGITS:
        raise argparse.ArgumentTypeError(f"invalid duration {text!r}: expected a time such as 10s, 5m or 500ms")
    return float(match[1]) * _UNITS[match[2]]


def seconds(text: str) -> float:
    """Read a number of seconds, 0 or more."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"invalid number of seconds {text!r}: expected 0 or more")
    return number


def moment(text: str) -> datetime:
    """Read an RFC 3339 time; the push is checked later for a missing offset."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid time {text!r}: expected RFC 3339, such as 2026-01-31T12:00:00Z") from None


def count(text: str) -> int:
    """Read an integer, 0 or more."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise argparse.ArgumentTypeError(f"invalid number {text!r}: expected an integer, 0 or more")
    return int(text)


def letter_id(text: str) -> str:
    """Read a dead letter's id. Redis would read `5` as all letters of a millisecond, and `-` and `+` as the ends of the stream."""
    if not _LETTER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"invalid dead letter id {text!r}: expected an id such as 1769860800000-0")
    return text


def channel(text: str) -> str:
    try:
        return check_channel(text)
    except ChannelError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
