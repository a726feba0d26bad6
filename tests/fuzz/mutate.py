"""Seeded mutation of bytes: cheap enough for a million inputs, and a failure is found again by its seed."""

from collections.abc import Sequence
from random import Random

_SPICE = [
    *(bytes([byte]) for byte in (0, 9, 10, 13, 32, 34, 35, 37, 38, 43, 45, 46, 47, 58, 61, 63, 92, 123, 127, 128, 255)),
    *(b"\r\n", b"\n\n", b"\r\n\r\n", b"%00", b"%2e", b"%", b"\xc3\xa9", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf0\x9f\x90\x9f"),
    *(b"null", b"true", b"-1", b"0", b"1e999", b"18446744073709551616", b"0.1", b"[]", b"{}", b'""', b'"\\ud800"', b"NaN"),
]


def mutated(dice: Random, seeds: Sequence[bytes], spice: Sequence[bytes] = ()) -> bytes:
    """Change a seed in one to four places: insert, delete, replace, repeat, or join it with another seed."""
    data = dice.choice(seeds)
    words = [*_SPICE, *spice]
    for _ in range(dice.randint(1, 4)):
        at = dice.randint(0, len(data))
        to = min(len(data), at + dice.choice((1, 1, 2, 5, 20)))
        match dice.randrange(6):
            case 0:
                data = data[:at] + dice.choice(words) + data[at:]
            case 1:
                data = data[:at] + data[to:]
            case 2:
                data = data[:at] + dice.choice(words) + data[to:]
            case 3:
                data = data[:at] + data[at:to] * dice.choice((2, 3, 50)) + data[to:]
            case 4:
                data = data[:at] + dice.randbytes(to - at) + data[to:]
            case _:
                data = data[:at] + dice.choice(seeds)[at:]
    return data
