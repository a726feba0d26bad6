"""`tailrace push`: one push from a shell, and what became of it."""

import argparse
import asyncio
import re
from datetime import datetime
from typing import Any

from tailrace.cli._command import Command
from tailrace.cli._enqueue import add_wait, content_of, enqueued, json_of
from tailrace.cli._locate import Target, add_target, find_target

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_EPILOG = """
examples:
  tailrace push --to all --event message '{"hello": "world"}'
  tailrace push --to room:1 --event chat --key order-7 '{"text": "hi"}'
  tailrace push --to all --text '<p>Hello</p>'
  tailrace push --to all --in 10s '{"late": true}'
  date | tailrace push --to all --text -

Exit status: 0 appended, or in the queue where --in, --at or --wait 0 say so; 1 not appended.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="JSON to deliver, or text with --text; - reads it from stdin")
    parser.add_argument("--to", required=True, metavar="CHANNEL", help="all, client:<id>, or a channel of your own such as room:1")
    parser.add_argument("--event", default="message", metavar="TYPE", help="SSE event type [default: message]")
    parser.add_argument("--text", action="store_true", help="DATA is text, which goes out line by line as it is")
    parser.add_argument("--key", metavar="KEY", help="append at most once per channel and key")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--in", dest="delay_s", type=duration, metavar="TIME", help="due in 500ms, 10s, 5m, 2h, 1d")
    when.add_argument("--at", type=datetime.fromisoformat, metavar="TIME", help="due at a time such as 2026-01-31T12:00:00Z")
    parser.add_argument("--expires", dest="expires_s", type=duration, metavar="TIME", help="not later than so long after it was due")
    parser.add_argument("--no-stamp", dest="stamp", action="store_false", help="add no timestamp to DATA")
    add_wait(parser)
    add_target(parser)


def duration(text: str) -> float:
    """Read `10s`, `1.5m`, `500ms` or seconds without a unit."""
    match = _DURATION.fullmatch(text if text[-1:].isalpha() else f"{text}s")
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 10s, 5m or 500ms")
    return float(match[1]) * _UNITS[match[2]]


def _run(arguments: argparse.Namespace) -> int:
    content = content_of(arguments.data)
    data = {"text": content} if arguments.text else {"data": json_of(content)}
    return asyncio.run(_push(find_target(arguments), arguments, data))


async def _push(target: Target, arguments: argparse.Namespace, data: dict[str, Any]) -> int:
    options = {name: getattr(arguments, name) for name in ("event", "key", "delay_s", "at", "expires_s", "stamp")}
    later = arguments.delay_s is not None or arguments.at is not None
    return await enqueued(
        target,
        lambda pusher: pusher.push(arguments.to, **data, **options, receipt=not later and arguments.wait_s > 0),
        0 if later else arguments.wait_s,
    )


COMMAND = Command("Push one event, and print what became of it.", _configure, _run, _EPILOG)
