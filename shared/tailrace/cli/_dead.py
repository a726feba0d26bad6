"""`tailrace dead`: the jobs that won't be tried again, with their reasons; and their second chance."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

import msgspec

from tailrace.cli._arguments import count
from tailrace.cli._command import Command
from tailrace.cli._letters import DeadLetter, DeadLetters, view
from tailrace.cli._locate import Target, add_target, find_target
from tailrace.cli._settings import SettingsError
from tailrace.cli._show import clock, plain, table
from tailrace.log import connect_queue
from tailrace.wire import Keys

_LISTED = 50
_PROGRESS_EVERY = 100
_EPILOG = """
examples:
  tailrace dead list
  tailrace dead list --reason "unknown function" --json
  tailrace dead show 1769860800000-0
  tailrace dead redrive 1769860800000-0            # put it back into its queue
  tailrace dead redrive --all --reason "unknown function"
  tailrace dead purge --all
"""
_VERBS = {
    "list": "list letters, newest last",
    "show": "show letters whole",
    "redrive": "put jobs back into their queues",
    "purge": "delete letters",
}


def _configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="|".join(_VERBS))
    for verb, summary in _VERBS.items():
        sub = verbs.add_parser(verb, help=summary, description=summary)
        if verb == "list":
            sub.add_argument("--limit", type=count, default=_LISTED, metavar="N", help=f"the newest N at most [default: {_LISTED}]")
        else:
            sub.add_argument("ids", nargs="*", metavar="ID", help="a letter's id, as `list` shows it")
            sub.add_argument("--all", action="store_true", help="all letters")
        sub.add_argument("--reason", default="", metavar="TEXT", help="only those whose reason holds this text")
        sub.add_argument("--json", action="store_true", help="one JSON object a line")
        add_target(sub)


def _run(arguments: argparse.Namespace) -> int:
    chosen = arguments.verb == "list" or arguments.ids or arguments.all or arguments.reason
    if not chosen:
        raise SettingsError(f"{arguments.verb}: name letters by id, by --reason, or take --all")
    return asyncio.run(_do(find_target(arguments), arguments))


async def _do(target: Target, arguments: argparse.Namespace) -> int:
    async with connect_queue(target.queue_redis) as redis:
        letters = DeadLetters(redis, Keys(target.prefix))
        ids = getattr(arguments, "ids", ())
        found = [letter async for letter in letters.read(ids, arguments.reason)]
        missing = sorted(set(ids) - {letter.id for letter in found})
        for each in missing:
            print(f"tailrace dead: no letter {each}", file=sys.stderr)
        status = await _VERB[arguments.verb](letters, found, arguments)
    return status or int(bool(missing))


async def _list(_: DeadLetters, found: list[DeadLetter], arguments: argparse.Namespace) -> int:
    shown = found[-arguments.limit :] if arguments.limit > 0 else []
    if arguments.json:
        _print_json(shown)
        return 0
    if shown:
        rows = [(letter.id, clock(letter.dead_ms), letter.function, letter.path, letter.reason) for letter in shown]
        print(table(("ID", "SINCE", "FUNCTION", "PATH", "REASON"), rows))
    print(f"{len(found)} dead letter{'s' * (len(found) != 1)}" + (f", the newest {len(shown)} shown" if len(shown) < len(found) else ""))
    return 0


async def _show(_: DeadLetters, found: list[DeadLetter], arguments: argparse.Namespace) -> int:
    if arguments.json:
        _print_json(found)
        return 0
    for letter in found:
        shown = view(letter)
        for name in ("id", "job", "queue", "function", "reason", "path"):
            print(f"{name + ':':<10} {plain(getattr(shown, name))}")
        print(f"{'payload:':<10} {plain(shown.payload)}")
        for line in shown.traceback.splitlines():
            print(f"    {plain(line)}")
        print()
    return 0


async def _redrive(letters: DeadLetters, found: list[DeadLetter], _: argparse.Namespace) -> int:
    done = 0
    for number, letter in enumerate(found, 1):
        if obstacle := await letters.redrive(letter):
            print(f"tailrace dead: {letter.id} stays: {plain(obstacle)}", file=sys.stderr)
        else:
            done += 1
        _progress(number, len(found))
    print(f"{done} of {len(found)} put back")
    return int(done < len(found))


async def _purge(letters: DeadLetters, found: list[DeadLetter], _: argparse.Namespace) -> int:
    done = 0
    for start in range(0, len(found), _PROGRESS_EVERY):
        done += await letters.delete(found[start : start + _PROGRESS_EVERY])
        _progress(start + _PROGRESS_EVERY, len(found))
    print(f"{done} deleted")
    return 0


def _progress(done: int, of: int) -> None:
    if of > _PROGRESS_EVERY and done % _PROGRESS_EVERY == 0:
        print(f"{min(done, of)} of {of}", file=sys.stderr)


def _print_json(found: list[DeadLetter]) -> None:
    for letter in found:
        print(msgspec.json.encode(view(letter)).decode())


_VERB: dict[str, Callable[[DeadLetters, list[DeadLetter], argparse.Namespace], Awaitable[int]]] = {
    "list": _list,
    "show": _show,
    "redrive": _redrive,
    "purge": _purge,
}

COMMAND = Command("List, show, put back or delete dead letters: jobs that won't be tried again.", _configure, _run, _EPILOG)
