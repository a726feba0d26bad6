"""What a process prints: one line on stdout when it is ready, and its log on stderr, with secrets removed.

A log call passes its values twice: in the message, for people, and as `extra={"shard": 3}`, for programs. In JSON the latter are the
line's `fields`; on a terminal the message says it all. Names of fields are snake_case and end in their unit (`wait_s`, `size_bytes`).
"""

import logging
import sys
from datetime import UTC, datetime

import msgspec

from tailrace.service._plain import plain, plain_json, plain_lines
from tailrace.service._rate_limited_log import Malformed

Fields = dict[str, str | int | float | bool | None]
_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
"""Attributes of a record that aren't fields: logging's own, and uvicorn's coloured copy of its message."""


class LogLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a service's log when stderr isn't a terminal."""

    time: str
    level: str
    logger: str
    message: str
    fields: Fields = {}
    """The message's values by name."""
    error: str = ""
    """The traceback."""


def announce(service: str, host: str = "", port: int = 0) -> None:
    """Print the line that says a service is ready, with its address if it listens on one."""
    print(f"tailrace {service} ready" + (f" on {http_address(host, port)}" if host else ""), flush=True)


def http_address(host: str, port: int) -> str:
    """Return the URL of a listener."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def configure_logging(level: str = "info") -> None:
    """Send the log to stderr: as text on a terminal, otherwise as one JSON object per line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Readable() if sys.stderr.isatty() else _Json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.setLevel("WARNING")  # its five lines at info say no more than the ready line
    uvicorn.filters = [Malformed()]


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = LogLine(
            time=datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            level=record.levelname.lower(),
            logger=record.name,
            message=_redact(record.getMessage()),
            fields={name: _field(value) for name, value in vars(record).items() if name not in _RECORD},
            error=_redact(self.formatException(record.exc_info)) if record.exc_info else "",
        )
        return plain_json(msgspec.json.encode(line))


class _Readable(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        record.message, record.asctime = plain(_redact(record.getMessage())), self.formatTime(record, self.datefmt)
        error = f"\n{plain_lines(_redact(self.formatException(record.exc_info)))}" if record.exc_info else ""
        return self.formatMessage(record) + error


def _field(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, int | float | None) else _redact(str(value))


def _redact(text: str) -> str:
    from tailrace.redis import redact  # with redis-py it takes 0.1 s to import, which a command that logs nothing doesn't need

    return redact(text)
