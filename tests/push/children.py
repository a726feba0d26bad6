"""A program that pushes, starts a child process that pushes too, and pushes again: `python -m tests.push.children PUSHER WAY URL BEFORE`.

It ends with status 0 if each push had its receipt at once, in the parent and in the child.
"""

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.context import BaseContext
from typing import NoReturn

from tailrace.push import BlockingJob, BlockingPusher, Job, JobState, Pusher

CHANNEL = "room:children"
SOON_S = 3.0
EACH = 5
AnyPusher = Pusher | BlockingPusher


def use(pusher: AnyPusher, who: str) -> None:
    """Push some, and wait for each receipt."""
    if isinstance(pusher, BlockingPusher):
        for number in range(EACH):
            began = time.monotonic()
            job: BlockingJob = pusher.push(CHANNEL, f"{who} {number}")
            _judge(began, job.receipt(10) is not None)
    else:
        asyncio.run(use_here(pusher, who))


async def use_here(pusher: Pusher, who: str) -> None:
    for number in range(EACH):
        began = time.monotonic()
        job: Job = await pusher.push(CHANNEL, f"{who} {number}")
        end = await job.receipt(10)
        _judge(began, end is not None and end.state is JobState.APPENDED)


def _judge(began: float, received: bool) -> None:
    took_s = time.monotonic() - began
    if not received or took_s > SOON_S:
        raise RuntimeError(f"a push {'was appended' if received else 'had no receipt'} after {took_s:.1f} s")


def os_fork(pusher: AnyPusher) -> int:
    """Fork, and let the child end in the ordinary way, with the interpreter's whole end."""
    exit_ = _exit()
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    use(pusher, "child")
    return exit_(0)


def os_fork_unused(_: AnyPusher) -> int:
    """The same, but the child doesn't use the pusher."""
    exit_ = _exit()
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return exit_(0)


def _exit() -> Callable[[int], NoReturn]:
    """Within a loop, a child that raises SystemExit would run the parent's loop to its end."""
    if asyncio._get_running_loop():
        return os._exit
    return sys.exit


def unannounced(pusher: AnyPusher) -> int:
    """Fork as uWSGI does, behind Python's back."""
    import ctypes

    if child := ctypes.PyDLL(None).fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    use(pusher, "child")
    os._exit(0)


def process(context: BaseContext, pusher: AnyPusher) -> int:
    child = context.Process(target=use, args=(pusher, "child"))  # type: ignore[attr-defined]
    child.start()
    child.join()
    return int(child.exitcode)


def pool(context: BaseContext, pusher: AnyPusher) -> int:
    with context.Pool(1) as workers:
        workers.apply(use, (pusher, "child"))
    return 0


WAYS: dict[str, Callable[[AnyPusher], int]] = {
    "os.fork": os_fork,
    "os.fork unused": os_fork_unused,
    "unannounced": unannounced,
    "fork": lambda pusher: process(multiprocessing.get_context("fork"), pusher),
    "spawn": lambda pusher: process(multiprocessing.get_context("spawn"), pusher),
    "forkserver": lambda pusher: process(multiprocessing.get_context("forkserver"), pusher),
    "pool of fork": lambda pusher: pool(multiprocessing.get_context("fork"), pusher),
    "pool of spawn": lambda pusher: pool(multiprocessing.get_context("spawn"), pusher),
}


async def _within_a_loop(pusher: Pusher, start: Callable[[AnyPusher], int]) -> int:
    """Keep the parent's connections in use over the child's life, as a web server does."""
    await use_here(pusher, "before")
    status = start(pusher)
    await use_here(pusher, "after")
    return status


def main(kind: str, way: str, url: str, before: str) -> int:
    if kind == "Pusher in a loop":
        return asyncio.run(_within_a_loop(Pusher(url), WAYS[way]))
    pusher = BlockingPusher(url) if kind == "BlockingPusher" else Pusher(url)
    if before:
        use(pusher, "before")
    status = WAYS[way](pusher)
    use(pusher, "after")
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
