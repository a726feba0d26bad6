"""What `push` and `call` share: their DATA argument, and waiting for the receipt."""

import argparse
import sys
from collections.abc import Awaitable, Callable

import msgspec

from tailrace.cli._arguments import seconds
from tailrace.cli._locate import Target, advised
from tailrace.push import EnqueueError, Job, JobReceipt, JobState, Pusher, PushError, RedisAwayError, TailraceError
from tailrace.service import SettingsError
from tailrace.service._plain import plain_json, plain_lines

_REDIS_S = 3
_USAGE_ERROR = 2


def add_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait",
        dest="wait_s",
        type=seconds,
        default=5,
        metavar="SECONDS",
        help="how long to wait for the receipt; 0 doesn't wait [default: 5]",
    )


def content_of(argument: str) -> str:
    """Return the argument, or the content of stdin for `-`.

    Raises:
        SettingsError: stdin isn't UTF-8.
    """
    if argument != "-":
        return argument
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise SettingsError(f"DATA on stdin is not UTF-8: {error.reason} at byte {error.start}") from None


def json_of(text: str, hint: str = "") -> msgspec.Raw:
    """Check that a text is JSON; `hint` is appended to the error.

    Raises:
        SettingsError: it isn't JSON.
    """
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SettingsError(f"DATA is not JSON ({error}){hint}") from error
    return msgspec.Raw(text.encode())


async def enqueued(target: Target, enqueue: Callable[[Pusher], Awaitable[Job]], wait_s: float) -> int:
    """Enqueue a job, wait for its receipt and print it. Returns the exit status."""
    pusher = Pusher(target.queue_redis, prefix=target.prefix, timeout_s=_REDIS_S)
    try:
        async with pusher:
            job = await enqueue(pusher)
            receipt = await job.receipt(wait_s) if wait_s > 0 else None
    except TailraceError as error:
        told = advised(error, target) if isinstance(error, RedisAwayError) else error
        uncertain = isinstance(error, EnqueueError) and error.uncertain
        print(plain_lines(str(told) if uncertain else f"not enqueued: {told}"), file=sys.stderr)
        return _USAGE_ERROR if isinstance(error, PushError) else 1
    if receipt is None:
        told = f"enqueued: job {job.id}" if job.new else f"not enqueued: job {job.id} already exists"
        print(told + (f"; no receipt within {wait_s:g} s; is a worker running?" if wait_s > 0 else ""))
        return int(wait_s > 0)
    return _print(receipt)


def _print(receipt: JobReceipt) -> int:
    for each in receipt.receipts:
        print(plain_json(msgspec.json.encode(each)))
    if not receipt.receipts:
        print(f"{receipt.state}: job {receipt.job}")
    good = receipt.state is JobState.APPENDED and all(each.status != "error" for each in receipt.receipts)
    return int(not good)
