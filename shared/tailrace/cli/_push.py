"""`tailrace push`: pushes an event from a shell and prints its receipt."""

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

Exit status: 0 appended, or with --in, --at or --wait 0 enqueued; 1 not appended, or no receipt within --wait; 2 usage error.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="JSON to deliver, or text with --text; - reads it from stdin")
    parser.add_argument("--to", required=True, metavar="CHANNEL", help="all, client:<id>, or any other channel, such as room:1")
    parser.add_argument("--event", default="message", metavar="TYPE", help="SSE event type [default: message]")
    parser.add_argument("--text", action="store_true", help="send DATA as text, not as JSON")
    parser.add_argument("--key", metavar="KEY", help="append at most once per channel and key")
    when = parser.add_mutually_exclusive_group()
    when.add_argument(
        "--in", dest="delay_s", type=duration, metavar="TIME", help="append the event after this time: 500ms, 10s, 5m, 2h, 1d"
    )
    when.add_argument("--at", type=moment, metavar="TIME", help="append the event at this time, such as 2026-01-31T12:00:00Z")
    parser.add_argument(
        "--expires", dest="expires_s", type=duration, metavar="TIME", help="discard if not appended within TIME of the due time"
    )
    parser.add_argument("--no-stamp", dest="stamp", action="store_false", help="don't add a timestamp to DATA")
    add_wait(parser)
    add_target(parser)


def _run(arguments: argparse.Namespace) -> int:
    content = content_of(arguments.data)
    data = {"text": content} if arguments.text else {"data": json_of(content, "; use --text to send text")}
    return asyncio.run(_push(find_target(arguments), arguments, data))


async def _push(target: Target, arguments: argparse.Namespace, data: dict[str, Any]) -> int:
    options = {name: getattr(arguments, name) for name in ("event", "key", "delay_s", "at", "expires_s", "stamp")}
    later = arguments.delay_s is not None or arguments.at is not None
    return await enqueued(
        target,
        lambda pusher: pusher.push(arguments.to, **data, **options, receipt=not later and arguments.wait_s > 0),
        0 if later else arguments.wait_s,
    )


COMMAND = Command("Push one event and print its receipt.", _configure, _run, _EPILOG)
