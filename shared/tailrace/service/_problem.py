"""The body of every answer that refuses a request."""

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a request."""

    message: str
    path: str = "$"
    """The field that is wrong; `$` is the request as a whole."""
    status: str = "error"
