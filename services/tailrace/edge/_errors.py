"""The edge's own errors.

TailraceError
├── RequestError   the client's: what it asks for can't be (HTTP 400, 403 or 405)
└── BusyError      nobody's: the edge can't serve the stream now (200, `event: busy` and a longer `retry:`)
"""

from tailrace.wire import TailraceError


class RequestError(TailraceError):
    """A request that can't be served, with the status to answer and the parameter that is wrong."""

    def __init__(self, message: str, path: str, status: int = 400) -> None:
        super().__init__(message)
        self.path = path
        self.status = status


class BusyError(TailraceError):
    """A stream that can't be served now, but may be later or elsewhere; the message says why."""

    def __init__(self, message: str, reason: str = "full") -> None:
        """`reason` is what clients are told: one of the words of `tailrace.wire.Busy`."""
        super().__init__(message)
        self.reason = reason
