"""`tailrace call`: one call of an application's own function from a shell."""

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
  tailrace call nightly --job-id nightly-2026-01-31        # at most one job of this id

Functions are found by `tailrace worker --functions MODULE`.
Exit status: 0 it ran, or is in the queue where --in or --wait 0 say so; 1 it became a dead letter, or isn't known to have run
within --wait; 2 asked for wrongly.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("function", metavar="FUNCTION", help="the function's name")
    parser.add_argument("argument", nargs="?", metavar="DATA", help="its argument as JSON; - reads it from stdin")
    parser.add_argument("--job-id", metavar="ID", help="id of the job; one that is taken is left alone")
    parser.add_argument("--in", dest="delay_s", type=duration, metavar="TIME", help="due in 500ms, 10s, 5m, 2h, 1d")
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


COMMAND = Command("Call one of your functions, and print what became of it.", _configure, _run, _EPILOG)
