"""The `Prefer` header (RFC 7240): how long a client wants to wait."""

import re
from typing import NamedTuple

_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,9})\"?")


class Preference(NamedTuple):
    """What a client asked for, as far as we go along with it."""

    wait_s: float
    """How long to wait for the receipt; 0 is not at all."""
    applied: str = ""
    """For `Preference-Applied`."""


def read_prefer(header: str, *, default_s: float, max_s: float) -> Preference:
    """Read `respond-async`, `wait=N`, or both (wait so long, then answer 202). What isn't understood is ignored (section 2)."""
    wait_s, asynchronous = None, False
    for token in header.lower().split(","):
        preference = token.partition(";")[0].strip()
        asynchronous = asynchronous or preference == "respond-async"
        if wait_s is None and (match := _WAIT.fullmatch(preference)):  # the first one counts
            wait_s = min(float(match[1]), max_s)
    if wait_s is not None:
        return Preference(wait_s, f"wait={wait_s:g}")
    return Preference(0, "respond-async") if asynchronous else Preference(default_s)
