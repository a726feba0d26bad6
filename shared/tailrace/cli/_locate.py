"""Which tailrace a command talks to: the one that flags or variables name, else a running `tailrace up`, else the default Redis."""

import argparse
from typing import Annotated

import msgspec

from tailrace.cli._runfile import find_running
from tailrace.cli._settings import add_settings, read_settings

_DEFAULT = "redis://127.0.0.1:6379/0"


class Target(msgspec.Struct, frozen=True):
    redis: Annotated[str, msgspec.Meta(description=f"URL of Redis; none: that of a running `tailrace up`, or {_DEFAULT}.")] = ""
    queue_redis: Annotated[str, msgspec.Meta(description="URL of the queue's Redis, where it is another.")] = ""
    prefix: Annotated[str, msgspec.Meta(description="What all keys in Redis begin with.")] = "tailrace"


def add_target(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, Target)


def advised(trouble: object, target: Target) -> str:
    """Say what is wrong with a Redis that is away and, where nobody has named it, what to do."""
    advice = "; start `tailrace up`, or name a Redis with --redis" if _DEFAULT in (target.redis, target.queue_redis) else ""
    return str(trouble).removesuffix(".") + advice


def find_target(arguments: argparse.Namespace) -> Target:
    """Give the target with both its URLs filled in."""
    target = read_settings(Target, arguments)
    running = None if target.redis else find_running()
    if running is not None:
        return Target(running.redis, running.redis, running.prefix)
    redis = target.redis or _DEFAULT
    return msgspec.structs.replace(target, redis=redis, queue_redis=target.queue_redis or redis)
