"""Entry ids of Redis Streams (`<ms>-<seq>`) as one integer each, so that they compare and step by themselves."""

_SEQUENCE_BITS = 64
_SEQUENCE = (1 << _SEQUENCE_BITS) - 1


def parse_id(text: bytes | str) -> int:
    """Read `<ms>-<seq>`, or `<ms>` for sequence 0. Raises ValueError."""
    ms, _, seq = text.partition(b"-") if isinstance(text, bytes) else text.partition("-")
    return int(ms) << _SEQUENCE_BITS | int(seq or 0)


def format_id(position: int) -> str:
    """Write an id the way Redis does."""
    return f"{position >> _SEQUENCE_BITS}-{position & _SEQUENCE}"


def id_at(ms: int, seq: int = 0) -> int:
    """Return the id of a Unix time in milliseconds and a sequence number."""
    return ms << _SEQUENCE_BITS | seq


def id_parts(position: int) -> tuple[int, int]:
    """Split an id into Unix milliseconds and sequence number."""
    return position >> _SEQUENCE_BITS, position & _SEQUENCE
