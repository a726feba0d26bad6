"""Which system a command talks to: flags and variables first, then a running `tailrace up`, then the default Redis."""

import argparse
import sys
from typing import Annotated

import msgspec

from tailrace.cli._runfile import Running, find_running
from tailrace.redis import redact
from tailrace.service import add_settings, read_settings

_DEFAULT = "redis://127.0.0.1:6379/0"
_DEFAULT_PREFIX = "tailrace"


class Target(msgspec.Struct, frozen=True):
    redis: Annotated[str, msgspec.Meta(description=f"URL of Redis; none: that of a running `tailrace up`, or {_DEFAULT}.")] = ""
    queue_redis: Annotated[str, msgspec.Meta(description="URL of the queue's Redis; none: the same Redis.")] = ""
    prefix: Annotated[
        str,
        msgspec.Meta(description=f"Prefix of all keys in Redis; none: that of a running `tailrace up`, or {_DEFAULT_PREFIX}."),
    ] = ""


def add_target(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, Target)


def advised(trouble: object, target: Target) -> str:
    """Say what is wrong with a Redis that is away and, where nobody has named it, what to do."""
    advice = "; start `tailrace up`, or name a Redis with --redis" if _DEFAULT in (target.redis, target.queue_redis) else ""
    return str(trouble).removesuffix(".") + advice


def resolve_target(arguments: argparse.Namespace) -> Target:
    """Return the target with all its fields filled in.

    What a flag or a variable names wins, field by field. A running `tailrace up` fills in the rest, unless another Redis is named.

    Raises:
        SettingsError: a flag or a variable has a wrong value.
    """
    named = read_settings(Target, arguments)
    running = (None if named.redis else find_running()) or Running(named.redis or _DEFAULT, _DEFAULT_PREFIX)
    return Target(
        redis=running.redis,
        queue_redis=named.queue_redis or running.redis,
        prefix=named.prefix or running.prefix,
    )


def find_target(arguments: argparse.Namespace) -> Target:
    """Return the target as `resolve_target` does, and name it on stderr unless it is the default.

    A command that purges or pushes must not act on another system than its user believes, and a flag may come from a
    variable that was set long ago.
    """
    target = resolve_target(arguments)
    if target != Target(_DEFAULT, _DEFAULT, _DEFAULT_PREFIX):
        queue = f", queue {redact(target.queue_redis)}" if target.queue_redis != target.redis else ""
        print(f"using {redact(target.redis)}{queue}, prefix {target.prefix}", file=sys.stderr)
    return target
