"""`tailrace dead`: lists, redrives and deletes dead letters, which are jobs that failed for good."""

import argparse
import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

import msgspec

from tailrace.cli._arguments import channel, count, duration, letter_id, moment
from tailrace.cli._locate import Target, add_target, find_target
from tailrace.cli._show import clock, table
from tailrace.queue import DeadLetter, DeadLetters, Filter
from tailrace.redis import connect_queue
from tailrace.service import Command, SettingsError
from tailrace.service._plain import plain, plain_json
from tailrace.wire import Keys

_LISTED = 50
_PROGRESS_EVERY = 1000
_EPILOG = """
examples:
  tailrace dead list
  tailrace dead list --reason "no worker has" --since 1h --json
  tailrace dead show 1769860800000-0
  tailrace dead redrive 1769860800000-0            # return the job to its queue
  tailrace dead redrive --function order_placed --since 2026-01-31T12:00:00Z
  tailrace dead purge --channel room:1
  tailrace dead purge --all
"""
_VERBS = {
    "list": "list dead letters, newest last",
    "show": "show dead letters in full",
    "redrive": "return jobs to their queues",
    "purge": "delete dead letters",
}


class _LetterView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dead letter as `--json` prints it: all text, with the job's public id."""

    id: str
    job: str
    function: str
    reason: str
    path: str
    queue: str
    payload: str
    traceback: str = ""


def _configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="|".join(_VERBS))
    for verb, summary in _VERBS.items():
        sub = verbs.add_parser(verb, help=summary, description=summary)
        if verb == "list":
            sub.add_argument("--limit", type=count, default=_LISTED, metavar="N", help=f"list at most the newest N [default: {_LISTED}]")
        else:
            sub.add_argument("ids", nargs="*", type=letter_id, metavar="ID", help="a dead letter's id, from `tailrace dead list`")
            sub.add_argument("--all", action="store_true", help="all dead letters")
        sub.add_argument("--reason", default="", metavar="TEXT", help="only those whose reason contains this text")
        sub.add_argument("--function", default="", metavar="NAME", help="only calls of this function (`push` and `push_many` are pushes)")
        sub.add_argument("--channel", type=channel, metavar="CHANNEL", help="only those that push to this channel")
        sub.add_argument(
            "--since", type=_since, default=0, metavar="TIME", help="only those newer than a duration such as 2h, or than an RFC 3339 time"
        )
        sub.add_argument("--json", action="store_true", help="print one JSON object per line")
        add_target(sub)


def _since(text: str) -> int:
    """Read a time, or a duration before now, as Unix milliseconds."""
    try:
        since_s = time.time() - duration(text)
    except argparse.ArgumentTypeError:
        since = moment(text)
        if since.tzinfo is None:
            raise argparse.ArgumentTypeError(f"invalid time {text!r}: expected an offset, such as {text}Z") from None
        since_s = since.timestamp()
    return round(max(0, since_s) * 1000)


def _run(arguments: argparse.Namespace) -> int:
    chosen = Filter(arguments.reason, arguments.function, arguments.channel or "", arguments.since)
    if arguments.verb != "list" and not (arguments.ids or arguments.all or any(chosen)):
        raise SettingsError(
            f"{arguments.verb}: choose dead letters by id or filter (--reason, --function, --channel, --since), or pass --all"
        )
    return asyncio.run(_do(find_target(arguments), arguments, chosen))


async def _do(target: Target, arguments: argparse.Namespace, wanted: Filter) -> int:
    async with connect_queue(target.queue_redis) as redis:
        letters = DeadLetters(redis, Keys(target.prefix))
        found = Found(letters, wanted, getattr(arguments, "ids", ()))
        status = await _VERB[arguments.verb](letters, found, arguments)
        for each in found.missing:
            print(f"tailrace dead: no dead letter {each}", file=sys.stderr)
    return status or int(bool(found.missing))


class Found:
    """The dead letters that a command works on, page by page; reports progress if there are many."""

    def __init__(self, letters: DeadLetters, wanted: Filter, ids: Sequence[str]) -> None:
        self._letters, self._wanted, self._ids = letters, wanted, ids
        self.missing: list[str] = list(dict.fromkeys(ids))
        self.count = 0

    async def pages(self) -> AsyncIterator[list[DeadLetter]]:
        total, said = 0 if self._ids else await self._letters.count(), _PROGRESS_EVERY
        async for page, looked_at in self._letters.pages(self._wanted, self._ids):
            there = {letter.id for letter in page}
            self.missing = [each for each in self.missing if each not in there]
            self.count += len(page)
            yield page
            if looked_at >= said and total > _PROGRESS_EVERY:
                print(f"{looked_at} of {max(total, looked_at)} examined", file=sys.stderr)
                said += _PROGRESS_EVERY


async def _list(letters: DeadLetters, found: Found, arguments: argparse.Namespace) -> int:
    shown: deque[DeadLetter] = deque(maxlen=arguments.limit)
    async for page in found.pages():
        shown.extend(page)
    if arguments.json:
        _print_json(letters, shown)
        return 0
    if shown:
        rows = [(letter.id, clock(letter.dead_ms), letter.function, letter.path, letter.reason) for letter in shown]
        print(table(("ID", "SINCE", "FUNCTION", "PATH", "REASON"), rows))
    newest = f", the newest {len(shown)} shown" if len(shown) < found.count else ""
    print(f"{found.count} dead letter{'s' * (found.count != 1)}{newest}")
    return 0


async def _show(letters: DeadLetters, found: Found, arguments: argparse.Namespace) -> int:
    async for page in found.pages():
        if arguments.json:
            _print_json(letters, page)
            continue
        for letter in page:
            _print(_view(letters, letter))
    return 0


def _view(letters: DeadLetters, letter: DeadLetter) -> _LetterView:
    job, payload = letters.public_id(letter), letter.payload.decode(errors="backslashreplace")
    return _LetterView(letter.id, job, letter.function, letter.reason, letter.path, letter.queue, payload, letter.traceback)


def _print(shown: _LetterView) -> None:
    for name in ("id", "job", "queue", "function", "reason", "path"):
        print(f"{name + ':':<10} {plain(getattr(shown, name))}")
    print(f"{'payload:':<10} {plain(shown.payload)}")
    for line in shown.traceback.splitlines():
        print(f"    {plain(line)}")
    print()


async def _redrive(letters: DeadLetters, found: Found, _: argparse.Namespace) -> int:
    done = 0
    async for page in found.pages():
        for letter, obstacle in zip(page, await letters.redrive(page), strict=True):
            if obstacle:
                print(f"tailrace dead: {letter.id} not redriven: {plain(obstacle)}", file=sys.stderr)
            else:
                done += 1
    print(f"{done} of {found.count} redriven")
    return int(done < found.count)


async def _purge(letters: DeadLetters, found: Found, _: argparse.Namespace) -> int:
    done = 0
    async for page in found.pages():
        done += await letters.delete(page)
    print(f"{done} deleted")
    return 0


def _print_json(letters: DeadLetters, found: Iterable[DeadLetter]) -> None:
    for letter in found:
        print(plain_json(msgspec.json.encode(_view(letters, letter))))


_VERB: dict[str, Callable[[DeadLetters, Found, argparse.Namespace], Awaitable[int]]] = {
    "list": _list,
    "show": _show,
    "redrive": _redrive,
    "purge": _purge,
}

COMMAND = Command("List, show, redrive or delete dead letters: jobs that failed for good.", _configure, _run, _EPILOG)
