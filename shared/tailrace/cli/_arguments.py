"""What arguments may be: the parser that all commands share, and the types of their values."""

import argparse
import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tailrace.wire import ChannelError, check_channel

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_LETTER = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_MAX_DIGITS = 12


class Parser(argparse.ArgumentParser):
    """Takes flags anywhere among the words; argparse by itself gives an optional word up at the first flag."""

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


def duration(text: str) -> float:
    """Read `10s`, `1.5m`, `500ms` or seconds without a unit."""
    match = _DURATION.fullmatch(text if text[-1:].isalpha() else f"{text}s")
    if not match or len(match[1]) > _MAX_DIGITS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 10s, 5m or 500ms")
    return float(match[1]) * _UNITS[match[2]]


def seconds(text: str) -> float:
    """Read a number of seconds, 0 or more."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return number


def moment(text: str) -> datetime:
    """Read a time; whether it has the offset that it needs is seen where the push is checked."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: it needs RFC 3339 such as 2026-01-31T12:00:00Z") from None


def count(text: str) -> int:
    """Read a whole number, 0 or more."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def letter_id(text: str) -> str:
    """Read a dead letter's id; Redis would take `5` for all letters of a millisecond, and `-` and `+` for ends of the stream."""
    if not _LETTER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no letter's id, such as 1769860800000-0")
    return text


def channel(text: str) -> str:
    try:
        return check_channel(text)
    except ChannelError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
