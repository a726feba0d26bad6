"""`tailrace call`: calls an application's function from a shell."""

import argparse
import asyncio

from msgspec import UNSET, UnsetType

from tailrace.cli._arguments import duration
from tailrace.cli._enqueue import add_wait, content_of, enqueued, json_of
from tailrace.cli._locate import add_target, find_target
from tailrace.service import Command

_EPILOG = """
examples:
  tailrace call greet '{"name": "Ada"}'
  tailrace call report --in 5m '{"day": "2026-01-31"}'
  tailrace call nightly --job-id nightly-2026-01-31        # at most one job with this id

`tailrace worker --functions MODULE` provides functions.
Exit status: 0 the call succeeded, or with --in or --wait 0 was enqueued; 1 it became a dead letter, or didn't finish within --wait;
2 usage error.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("function", metavar="FUNCTION", help="the function's name")
    parser.add_argument("argument", nargs="?", metavar="DATA", help="the function's argument as JSON; - reads it from stdin")
    parser.add_argument("--job-id", metavar="ID", help="id of the job; nothing is enqueued if it exists already")
    parser.add_argument("--in", dest="delay_s", type=duration, metavar="TIME", help="run the call after this time: 500ms, 10s, 5m, 2h, 1d")
    add_wait(parser)
    add_target(parser)


def _run(arguments: argparse.Namespace) -> int:
    argument: object | UnsetType = UNSET if arguments.argument is None else json_of(content_of(arguments.argument))
    wait_s = arguments.wait_s if arguments.delay_s is None else 0
    return asyncio.run(
        enqueued(
            find_target(arguments),
            lambda pusher: pusher.call(
                arguments.function, argument, job_id=arguments.job_id, delay_s=arguments.delay_s, receipt=wait_s > 0
            ),
            wait_s,
        )
    )


COMMAND = Command("Call one of your functions and print the outcome.", _configure, _run, _EPILOG)
