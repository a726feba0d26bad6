"""The tree of tailrace's own errors; each says whose fault it is.

TailraceError
├── PushError        the producer's: a push that can't be valid (HTTP 422; in the queue a dead letter)
│   ├── TooLargeError  the producer's: more data than one push may have (HTTP 413; in the queue a dead letter)
│   └── JobError     the producer's: a job that can't be read at all (HTTP 400; in the queue a dead letter)
├── ChannelError     the subscriber's: a channel that can't exist (HTTP 400)
├── CursorError      nobody's: a cursor from elsewhere (the stream says `reset`)
├── EntryError       the log's: an entry that tailrace didn't write (skipped and counted)
└── SetupError       the operator's: Redis or a setting is not as it has to be (a process refuses to start)
"""


class TailraceError(Exception):
    """Anything that tailrace itself finds wrong."""


class PushError(TailraceError):
    """A push that can't be valid, with the path of the field that is wrong (`$.data.sender`)."""

    def __init__(self, message: str, path: str = "$") -> None:
        super().__init__(message, path)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        """Say what is wrong and where."""
        return f"{self.message} - at `{self.path}`"


class TooLargeError(PushError):
    """A push with more data than one may have."""


class JobError(PushError):
    """A job that can't be read at all: not JSON, pickled, of no known form."""


class ChannelError(TailraceError):
    """A name that no channel can have, or one that may not be asked for."""


class CursorError(TailraceError):
    """A cursor that can't be read or belongs to another layout of shards."""


class EntryError(TailraceError):
    """An entry of the log that doesn't have the form that the append script writes."""


class SetupError(TailraceError):
    """Redis or a setting is not as tailrace needs it; the message says what to change."""
