"""`tailrace worker`."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from functools import partial

import uvloop

from tailrace.redis import trouble
from tailrace.service import Command, SettingsError, add_current_folder, add_settings, announce, configure_logging, read_settings
from tailrace.wire import SetupError
from tailrace.worker._config import WorkerConfig
from tailrace.worker._retry import REDIS_ERRORS
from tailrace.worker._worker import alive, run
from tailrace.worker.calls._arq_settings import Application, load

_EXAMPLES = """examples:
  tailrace worker
  tailrace worker --functions shop.events --redis redis://10.0.0.5:6379/0
  tailrace worker --burst                 # exit when the queues are empty
  tailrace worker --check                 # for health checks: is a worker alive here?
"""


_GC = 50_000, 20, 20
"""A batch is thousands of small objects that end with it and form no cycles, so there is little garbage to collect."""

_SWITCH_S = 0.0005
"""Large jobs are read in a thread. The loop, which has commits to send, gets its turn soon."""

_LEFT_S = 1.0
"""How long cancelled tasks may take to end."""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="is a worker alive on this host (or in this container)? exits with 0 or 1")
    add_settings(parser, WorkerConfig)


def _run(namespace: argparse.Namespace) -> int:
    config = read_settings(WorkerConfig, namespace)
    configure_logging(config.log_level)
    try:
        if namespace.check:
            return _check(config)
        add_current_folder()
        application = load(config.functions)
        uvloop.run(_work(config, application))
    except SetupError as error:
        raise SettingsError(str(error)) from error
    except BaseExceptionGroup as group:
        if setup := group.subgroup(SetupError):
            raise SettingsError(str(setup.exceptions[0])) from group
        raise
    return 0


async def _work(config: WorkerConfig, application: Application) -> None:
    gc.freeze()
    gc.set_threshold(*_GC)
    sys.setswitchinterval(_SWITCH_S)
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, partial(_stop, stopping))
    await run(config, application, stopping, partial(announce, "worker"))
    await _end()


async def _end() -> None:
    """Cancel the application's tasks; exit if one of them goes on."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left and (await asyncio.wait(left, timeout=_LEFT_S))[1]:
        logging.getLogger(__name__).warning("a task still runs after it was cancelled; exiting without it")
        os._exit(0)


def _stop(stopping: asyncio.Event) -> None:
    if stopping.is_set():
        logging.getLogger(__name__).warning("stopped twice; exiting at once")
        os._exit(1)
    stopping.set()


def _check(config: WorkerConfig) -> int:
    try:
        living = uvloop.run(alive(config))
    except REDIS_ERRORS as error:
        raise SystemExit(f"tailrace worker: can't reach Redis: {trouble(error)}") from error
    sys.stdout.write(f"workers alive: {living.here} here, {living.everywhere} in all\n")
    return 0 if living.here else 1


COMMAND = Command("Take jobs from the queue, and append their events to the logs.", _configure, _run, _EXAMPLES)
