"""Jobs that no worker may stumble over: real ones, changed."""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

CHANNELS = 50
_FAR = 10**9
"""Numbers of hostile pushes begin here, so that none is mistaken for a valid one."""
_DEEP = 3000


class Made(NamedTuple):
    """A job to enqueue."""

    payload: bytes | None
    """None: none at all."""
    certain: bool = True
    """It can't be valid; if not, whether it is decides what has to become of it."""
    typed: bool = True
    """False: the payload's key is of another type."""


def valid(number: int) -> bytes:
    """Make a job as any producer does."""
    return _job({"to": f"room:{number % CHANNELS}", "data": {"n": number // CHANNELS}, "stamp": False})


def hostile(number: int, dice: random.Random) -> Made:
    """Make a job that was changed in one of many ways."""
    push = {"to": f"odd:{number % CHANNELS}", "data": {"n": _FAR + number}, "stamp": False}
    return dice.choice(_WAYS)(push, dice)


def _job(push: Any, **changed: Any) -> bytes:
    return msgspec.json.encode({"t": None, "f": "push", "a": [push], "k": {}, "et": 0, **changed})


def _raw(push: dict[str, Any], text: bytes) -> bytes:
    return _job({**push, "data": msgspec.Raw(text)})


def _wrong_value(push: dict[str, Any], dice: random.Random) -> Made:
    field, values = dice.choice(list(_WRONG.items()))
    return Made(_job({**push, field: dice.choice(values)}))


def _wrong_job(push: dict[str, Any], dice: random.Random) -> Made:
    field, values = dice.choice(list(_WRONG_JOB.items()))
    return Made(_job(push, **{field: dice.choice(values)}))


def _missing(push: dict[str, Any], dice: random.Random) -> Made:
    gone = dice.choice(("to", "data"))
    return Made(_job({name: value for name, value in push.items() if name != gone}))


def _truncated(push: dict[str, Any], dice: random.Random) -> Made:
    text = _job(push)
    return Made(text[: dice.randrange(len(text))])


def _bytes_changed(push: dict[str, Any], dice: random.Random) -> Made:
    text = bytearray(_job(push))
    for _ in range(dice.randint(1, 3)):
        text[dice.randrange(len(text))] = dice.randrange(256)
    return Made(bytes(text), certain=False)


def _deep(push: dict[str, Any], dice: random.Random) -> Made:
    opening, closing = dice.choice(((b"[", b"]"), (b'{"a":', b"}")))
    depth = dice.choice((_DEEP, 20 * _DEEP))
    return Made(_raw(push, opening * depth + b"0" + closing * depth))


def _surrogate(push: dict[str, Any], dice: random.Random) -> Made:
    lone = dice.choice((rb'"\ud800"', rb'"a\udfff"', rb'{"\ud800":1}', rb'["\udc00\ud800"]'))
    if dice.random() < 0.5:
        return Made(_raw(push, lone))
    return Made(_job({**push, dice.choice(("to", "event", "key")): msgspec.Raw(rb'"\udead"')}))


def _huge(push: dict[str, Any], dice: random.Random) -> Made:
    return Made(_raw(push, dice.choice((b"1e999", b"-1e400", b'{"n":9e99999}', b"[1E+1000]"))))


def _digits(push: dict[str, Any], dice: random.Random) -> Made:
    return Made(_raw(push, b"9" * dice.choice((20, 400, 5000))), certain=False)


def _not_utf8(push: dict[str, Any], dice: random.Random) -> Made:
    return Made(_job({**push, "event": "a!b"}).replace(b"!", dice.choice((b"\xff", b"\xc3", b"\xed\xa0\x80"))))


def _pickled(push: dict[str, Any], dice: random.Random) -> Made:
    return Made(b"\x80\x05\x95" + dice.randbytes(8) + b"\x8c\x04push\x94.")


def _other_json(push: dict[str, Any], dice: random.Random) -> Made:
    return Made(dice.choice((b"", b"null", b"[]", b"{}", b'"push"', b"7", b"nan", b"{'f': 'push'}", _job(push) + b"}")))


def _gone(push: dict[str, Any], dice: random.Random) -> Made:
    return Made(None, typed=dice.random() < 0.5)


_WRONG: dict[str, tuple[Any, ...]] = {
    "to": (None, 7, [], {}, "", "a b", "room:1\n", "x" * 129, "\u00e4", True),
    "event": (None, 7, "", "a\nb", "a\rb", "a\0b", "connect", "gap", "heartbeat"),
    "text": ("both",),
    "key": (7, "", "k" * 257, []),
    "expires_s": ("1", -1, 1e300, [], True),
    "stamp": (1, "yes", None, []),
    "surplus": (1, None),
    "delay_s": (1,),
}
_WRONG_JOB: dict[str, tuple[Any, ...]] = {
    "f": (None, 7, "", "no_such_function", "Push", []),
    "a": (None, {}, [], "push", [1], [[]], [{}, {}]),
    "k": (None, [], {"receipt": 7}, {"surplus": 1}),
    "t": ("1", []),
    "et": ("now", None),
}
_WAYS: tuple[Callable[[dict[str, Any], random.Random], Made], ...] = (
    *(_wrong_value, _wrong_job, _missing, _truncated, _bytes_changed, _surrogate, _huge),
    *(_digits, _not_utf8, _pickled, _other_json, _gone, _deep),
)
