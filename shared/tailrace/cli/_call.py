"""`tailrace call`: calls an application's function from a shell."""

import argparse
import asyncio

import msgspec

from tailrace.cli._arguments import duration
from tailrace.cli._enqueue import add_wait, content_of, enqueued, json_of
from tailrace.cli._locate import add_target, find_target
from tailrace.service import Command, SettingsError

_EPILOG = """
examples:
  tailrace call greet '{"name": "Ada"}'
  tailrace call report --in 5m '{"day": "2026-01-31"}'
  tailrace call send_mail '"ann@example.org"' --kwargs '{"subject": "Paid"}'      # an arq function takes any arguments
  tailrace call nightly --job-id nightly-2026-01-31        # at most one job with this id

`tailrace worker --functions MODULE` provides functions.
Exit status: 0 the call succeeded, or with --in or --wait 0 was enqueued; 1 it became a dead letter, or didn't finish within --wait;
2 usage error.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("function", metavar="FUNCTION", help="the function's name")
    parser.add_argument("args", nargs="*", metavar="DATA", help="an argument as JSON; - reads it from stdin")
    parser.add_argument("--kwargs", metavar="JSON", help="keyword arguments, as a JSON object")
    parser.add_argument("--job-id", metavar="ID", help="id of the job; nothing is enqueued if it exists already")
    parser.add_argument("--in", dest="delay_s", type=duration, metavar="TIME", help="run the call after this time: 500ms, 10s, 5m, 2h, 1d")
    add_wait(parser)
    add_target(parser)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.args.count("-") > 1:
        raise SettingsError("only one DATA can be `-`: stdin is read once")
    args, kwargs = [json_of(content_of(each)) for each in arguments.args], _keywords(arguments.kwargs)
    wait_s = arguments.wait_s if arguments.delay_s is None else 0
    return asyncio.run(
        enqueued(
            find_target(arguments),
            lambda pusher: pusher.call(
                arguments.function, *args, kwargs=kwargs, job_id=arguments.job_id, delay_s=arguments.delay_s, receipt=wait_s > 0
            ),
            wait_s,
        )
    )


def _keywords(text: str | None) -> dict[str, msgspec.Raw]:
    """Read `--kwargs`. Raises SettingsError: it isn't a JSON object."""
    try:
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw]) if text is not None else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise SettingsError(f"--kwargs is not a JSON object: {error}") from error


COMMAND = Command("Call one of your functions and print the outcome.", _configure, _run, _EPILOG)
