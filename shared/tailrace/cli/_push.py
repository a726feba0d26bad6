"""`tailrace push`: one push from a shell, and what became of it."""

import argparse
import asyncio
from typing import Any

from tailrace.cli._arguments import duration, moment
from tailrace.cli._enqueue import add_wait, content_of, enqueued, json_of
from tailrace.cli._locate import Target, add_target, find_target
from tailrace.service import Command

_EPILOG = """
examples:
  tailrace push --to all --event message '{"hello": "world"}'
  tailrace push --to room:1 --event chat --key order-7 '{"text": "hi"}'
  tailrace push --to all --text '<p>Hello</p>'
  tailrace push --to all --in 10s '{"late": true}'
  date | tailrace push --to all --text -

Exit status: 0 appended, or in the queue where --in, --at or --wait 0 say so; 1 not appended, or not known to be within --wait;
2 asked for wrongly.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="JSON to deliver, or text with --text; - reads it from stdin")
    parser.add_argument("--to", required=True, metavar="CHANNEL", help="all, client:<id>, or a channel of your own such as room:1")
    parser.add_argument("--event", default="message", metavar="TYPE", help="SSE event type [default: message]")
    parser.add_argument("--text", action="store_true", help="DATA is text, which goes out line by line as it is")
    parser.add_argument("--key", metavar="KEY", help="append at most once per channel and key")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--in", dest="delay_s", type=duration, metavar="TIME", help="due in 500ms, 10s, 5m, 2h, 1d")
    when.add_argument("--at", type=moment, metavar="TIME", help="due at a time such as 2026-01-31T12:00:00Z")
    parser.add_argument("--expires", dest="expires_s", type=duration, metavar="TIME", help="not later than so long after it was due")
    parser.add_argument("--no-stamp", dest="stamp", action="store_false", help="add no timestamp to DATA")
    add_wait(parser)
    add_target(parser)


def _run(arguments: argparse.Namespace) -> int:
    content = content_of(arguments.data)
    data = {"text": content} if arguments.text else {"data": json_of(content, "; text goes with --text")}
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
