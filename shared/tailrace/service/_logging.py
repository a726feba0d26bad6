"""What a process says: one line on stdout when it is ready, and its log on stderr, with secrets taken out."""

import logging
import sys
from datetime import UTC, datetime

import msgspec

from tailrace.redis import redact
from tailrace.service._plain import plain, plain_json, plain_lines
from tailrace.service._rate_limited_log import Malformed


class LogLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a service's log where stderr isn't a terminal."""

    time: str
    level: str
    logger: str
    message: str
    error: str = ""
    function: str = ""
    """The function that a call is of, where the line is about one; likewise its job and the key of its queue."""
    job: str = ""
    queue: str = ""


def announce(service: str, host: str = "", port: int = 0) -> None:
    """Print the one line that says a service is ready, with its address if it listens on one."""
    print(f"tailrace {service} ready" + (f" on {http_address(host, port)}" if host else ""), flush=True)


def http_address(host: str, port: int) -> str:
    """Give the URL of a listener."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def configure_logging(level: str = "info") -> None:
    """Send the log to stderr: readable on a terminal, one JSON object a line otherwise."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Readable() if sys.stderr.isatty() else _Json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.setLevel("WARNING")  # at info it says in five lines what the ready line says in one
    uvicorn.filters = [Malformed()]


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = LogLine(
            time=datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            level=record.levelname.lower(),
            logger=record.name,
            message=redact(record.getMessage()),
            error=redact(self.formatException(record.exc_info)) if record.exc_info else "",
            **{name: redact(getattr(record, name, "")) for name in ("function", "job", "queue")},
        )
        return plain_json(msgspec.json.encode(line))


class _Readable(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        record.message, record.asctime = plain(redact(record.getMessage())), self.formatTime(record, self.datefmt)
        error = f"\n{plain_lines(redact(self.formatException(record.exc_info)))}" if record.exc_info else ""
        return self.formatMessage(record) + error
