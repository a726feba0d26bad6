"""`tailrace`: finds a command by its entry point, and imports only that command."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points, version

from redis.exceptions import ConnectionError as RedisConnectionError, RedisError

from tailrace.cli._arguments import Parser
from tailrace.cli._locate import advised, resolve_target
from tailrace.cli._missing import cure
from tailrace.redis import redact, refusal, trouble
from tailrace.service import Command, SettingsError
from tailrace.service._plain import plain_lines
from tailrace.wire import SetupError

_GROUP = "tailrace.commands"
_USAGE_STATUS = 2
_HEAD = """usage: tailrace COMMAND [OPTIONS]

Push events from back ends to browsers over Server-Sent Events.
"""
_TAIL = """
  tailrace COMMAND --help      options and examples of a command
  tailrace --version

examples:
  tailrace up
  tailrace push --to all --event message '{"hello": "world"}'
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 success, 1 failure, 2 usage error."""
    try:
        try:
            return _answer(list(sys.argv[1:] if argv is None else argv) or ["--help"])
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # `tailrace tail | head`: the reader has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _answer(words: list[str]) -> int:
    name, *rest = words
    commands = {point.name: point for point in entry_points(group=_GROUP)}
    if name in ("-h", "--help", "help"):
        print(_overview(commands), end="")
        return 0
    if name in ("-V", "--version"):
        print(f"tailrace {version('tailrace')}")
        return 0
    if name not in commands:
        return _refuse("tailrace", _unknown(name, commands))
    return _run(commands[name], rest)


def _unknown(name: str, commands: Iterable[str]) -> str:
    from difflib import get_close_matches  # which no other path needs

    near = get_close_matches(name, commands, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"commands: {', '.join(sorted(commands))}"
    return f"unknown command {name!r}; {hint}"


def _run(point: EntryPoint, arguments: list[str]) -> int:
    prog = f"tailrace {point.name}"
    try:
        command: Command = point.load()
        parser = Parser(
            prog=prog,
            description=command.summary,
            epilog=command.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.configure(parser)
        return _obey(command, parser.parse_args([_utf8(argument) for argument in arguments]))
    except ModuleNotFoundError as error:
        if not (advice := cure(point, error)):
            raise  # a bug, a broken package, or a module that shadows another
        return _refuse(prog, f"module {error.name} is not installed; run: {advice}")
    except (SettingsError, SetupError) as error:
        return _refuse(prog, str(error))
    except RedisError as error:
        return _refuse(prog, redact(_told(error)), status=1)
    except KeyboardInterrupt:
        return 0


def _obey(command: Command, arguments: argparse.Namespace) -> int:
    try:
        return command.run(arguments)
    except RedisConnectionError as error:
        if refusal(error):  # it is reachable
            raise
        raise RedisConnectionError(advised(error, resolve_target(arguments))) from error


def _told(error: RedisError) -> str:
    refused = refusal(error)
    return f"{trouble(error)}; {refused.cure}" if refused and refused.cure else str(error)


def _utf8(argument: str) -> str:
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{argument!r} is not UTF-8") from None
    return argument


def _overview(commands: dict[str, EntryPoint]) -> str:
    lines = [f"  {name:<10} {_summary(point)}" for name, point in sorted(commands.items())]
    return "\n".join([_HEAD, "commands:", *lines, _TAIL])


def _summary(point: EntryPoint) -> str:
    try:
        command: Command = point.load()
    except ModuleNotFoundError as error:
        advice = cure(point, error)
        return f"(not installed: {advice})" if advice else f"(fails to load: {error})"
    return command.summary


def _refuse(prog: str, message: str, status: int = _USAGE_STATUS) -> int:
    print(f"{prog}: {plain_lines(message)}", file=sys.stderr)
    return status
