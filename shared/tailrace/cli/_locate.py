"""Which system a command uses: from flags and variables, else a running `tailrace up`, else the default Redis."""

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
    redis: Annotated[str, msgspec.Meta(description=f"URL of Redis; if unset, that of a running `tailrace up`, or {_DEFAULT}.")] = ""
    queue_redis: Annotated[str, msgspec.Meta(description="URL of the queue's Redis; if unset, the same Redis.")] = ""
    prefix: Annotated[
        str,
        msgspec.Meta(description=f"Prefix of all keys in Redis; if unset, that of a running `tailrace up`, or {_DEFAULT_PREFIX}."),
    ] = ""


def add_target(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, Target)


def advised(trouble: object, target: Target) -> str:
    """Describe an unreachable Redis and, if it is the default one, what to do."""
    advice = "; start `tailrace up`, or pass --redis" if _DEFAULT in (target.redis, target.queue_redis) else ""
    return str(trouble).removesuffix(".") + advice


def resolve_target(arguments: argparse.Namespace) -> Target:
    """Return the target with all fields filled in.

    Flags and variables take precedence, field by field. A running `tailrace up` fills in the rest, unless another Redis is named.

    Raises:
        SettingsError: a flag or variable is invalid.
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

    A command that purges or pushes must not act on a system that its user doesn't expect, and the value may come from a
    variable that was set long ago.
    """
    target = resolve_target(arguments)
    if target != Target(_DEFAULT, _DEFAULT, _DEFAULT_PREFIX):
        queue = f", queue {redact(target.queue_redis)}" if target.queue_redis != target.redis else ""
        print(f"using {redact(target.redis)}{queue}, prefix {target.prefix}", file=sys.stderr)
    return target
