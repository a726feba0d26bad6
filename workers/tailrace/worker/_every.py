"""Functions that run by themselves, every so many seconds: arq's cron, so once for all workers together."""

import inspect
from collections.abc import Callable, Mapping

from arq.cron import CronJob, cron
from arq.typing import WorkerCoroutine

from tailrace.wire import SetupError
from tailrace.worker._functions import CTX, MARK, F, Function

_MINUTE, _HOUR = 60, 3600


def every(seconds: int) -> Callable[[F], F]:
    """Run a function every so many seconds, once for all workers together.

    The seconds divide a minute, or are minutes that divide an hour, and are counted from the full one. The function
    takes nothing, or arq's context as `ctx`; what it returns is appended as for `@function`. A run that fails is a dead
    letter, and the next one comes.

    Raises SetupError: it takes an argument, or the seconds don't fit.
    """
    if seconds < 1 or (_MINUTE % seconds and (seconds % _MINUTE or _HOUR % seconds)):
        message = f"every({seconds}): seconds have to divide 60, or be minutes that divide an hour"
        raise SetupError(message)

    def mark(call: F) -> F:
        names = list(inspect.signature(call).parameters)
        if names not in ([], [CTX]):
            message = f"function {call.__name__!r} runs by itself, so it can take nothing but `ctx`"
            raise SetupError(message)
        setattr(call, MARK, Function(call.__name__, call, None, bool(names), seconds))
        return call

    return mark


def cron_jobs(functions: Mapping[str, Function], as_coroutine: Callable[[Function], WorkerCoroutine]) -> list[CronJob]:
    """Return arq's side of the functions that run by themselves."""
    return [_cron_job(each, as_coroutine(each)) for each in functions.values() if each.every_s]


def _cron_job(function: Function, coroutine: WorkerCoroutine) -> CronJob:
    seconds = function.every_s
    minutes = set(range(0, 60, seconds // _MINUTE)) if seconds > _MINUTE else None
    return cron(
        coroutine,
        name=function.name,
        minute=minutes,
        second=set(range(0, _MINUTE, seconds)) if seconds < _MINUTE else 0,
    )
