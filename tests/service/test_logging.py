"""The ready line, the log's two forms, and what is left out of both."""

import json
import logging
import subprocess
import sys

import pytest

from tailrace.redis import redact
from tailrace.service import announce


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("redis://user:pass@host:6379/0", "redis://***@host:6379/0"),
        ("redis://:pass@host/0", "redis://***@host/0"),
        ("redis://:sec@ret@host/0", "redis://***@host/0"),
        ("redis://:s/e#c?r@e@t@host", "redis://***@host"),
        ("at redis://:s/cret@a, then redis://b", "at redis://***@a, then redis://b"),
        ("redis://host/0", "redis://host/0"),
        ("redis://host/0?password=pass&db=1", "redis://host/0?password=***&db=1"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=0"),
        ("GET /sse?channel=a&client_id=0000&token=t HTTP/1.1", "GET /sse?channel=a&client_id=***&token=*** HTTP/1.1"),
        ("mail me@example.org", "mail me@example.org"),
    ],
)
def test_redact(text: str, printed: str) -> None:
    assert redact(text) == printed


def test_announce(capsys: pytest.CaptureFixture[str]) -> None:
    announce("edge", "127.0.0.1", 8000)
    announce("ingest", "::1", 8001)
    announce("worker")
    assert capsys.readouterr().out.splitlines() == [
        "tailrace edge ready on http://127.0.0.1:8000",
        "tailrace ingest ready on http://[::1]:8001",
        "tailrace worker ready",
    ]


def logged(code: str, level: str = "info") -> list[str]:
    program = f"import logging; from tailrace.service import configure_logging; configure_logging({level!r}); {code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_log_is_json_where_stderr_is_no_terminal() -> None:
    (line,) = logged("logging.getLogger('a.b').warning('at %s', 'redis://:pass@h/0')")
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("warning", "a.b", "at redis://***@h/0")
    assert entry["time"].endswith("+00:00")


def test_log_keeps_a_traceback_in_its_line() -> None:
    (line,) = logged("\ntry: 1/0\nexcept ZeroDivisionError: logging.exception('oh')")
    assert "ZeroDivisionError" in json.loads(line)["error"]


def test_level() -> None:
    assert logged("logging.info('i'); logging.debug('d')", "warning") == []


def test_readable_form_is_redacted_too() -> None:
    from tailrace.service._logging import _Readable

    record = logging.makeLogRecord({"msg": "at redis://:pass@h/0", "levelname": "INFO", "name": "a"})
    assert _Readable().format(record).endswith("INFO    a: at redis://***@h/0")


def test_values_given_as_extra_are_fields_of_the_json_line() -> None:
    (line,) = logged("logging.warning('x', extra={'shard': 3, 'wait_s': 0.5, 'full': True, 'job': None, 'url': 'redis://:pass@h/0'})")
    assert json.loads(line)["fields"] == {"shard": 3, "wait_s": 0.5, "full": True, "job": None, "url": "redis://***@h/0"}


def test_a_field_that_json_cannot_hold_is_text_and_printable() -> None:
    (line,) = logged(r"from pathlib import Path; logging.warning('x', extra={'path': Path('/a\x1b[31m')})")
    assert "\x1b" not in line
    assert json.loads(line)["fields"] == {"path": "/a\x1b[31m"}


def test_a_line_without_values_has_no_fields() -> None:
    assert "fields" not in json.loads(logged("logging.warning('x')")[0])


def test_requests_that_uvicorn_cannot_parse_are_counted_in_a_field() -> None:
    (line,) = logged("logging.getLogger('uvicorn.error').warning('Invalid HTTP request received.')")
    assert json.loads(line)["fields"] == {"count": 1}


def test_importing_service_loads_no_redis_client() -> None:
    code = "import sys, tailrace.service; print(sorted({'redis', 'uvicorn', 'litestar'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
