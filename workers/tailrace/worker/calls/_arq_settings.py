"""Loads an application: the functions of its modules, and arq's `WorkerSettings` if a module has one."""

import importlib.util
import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta, tzinfo
from types import ModuleType
from typing import Any

import msgspec
from arq.cron import CronJob
from arq.utils import to_seconds
from arq.worker import Function as ArqFunction, func, get_kwargs

from tailrace.wire import PUSH, PUSH_MANY, SetupError
from tailrace.worker.calls._functions import MARK, Function, plain

SETTINGS = "WorkerSettings"
Hook = Callable[[dict[Any, Any]], Awaitable[Any]]
_OURS = {
    "redis_settings": "--queue-redis",
    "redis_pool": "--queue-redis",
    "queue_name": "tailrace:calls",
    "job_serializer": "JSON",
    "job_deserializer": "JSON",
    "burst": "--burst",
    "max_burst_jobs": "--burst",
}
_NAME = re.compile(r"[^\s./\\]+(\.[^\s./\\]+)*")  # what Python imports needn't be an identifier
_NAMED = "modules are named as after `import`, such as shop.handlers for shop/handlers.py"
_log = logging.getLogger(__name__)


class Hooks(msgspec.Struct, frozen=True):
    """arq's hooks around jobs and around the worker."""

    on_startup: Hook | None = None
    on_shutdown: Hook | None = None
    on_job_start: Hook | None = None
    on_job_end: Hook | None = None
    after_job_end: Hook | None = None


class Terms(msgspec.Struct, frozen=True):
    """How `WorkerSettings` wants calls to be run; None leaves it to the worker's own settings."""

    max_jobs: int | None = None
    job_timeout: float | None = None
    keep_result: float = 3600
    keep_result_forever: bool = False
    max_tries: int | None = None
    retry_jobs: bool = True
    allow_abort_jobs: bool = False
    job_completion_wait: float | None = None
    health_check_interval: float = 30
    health_check_key: str | None = None
    timezone: tzinfo | None = None


class Application(msgspec.Struct, frozen=True):
    functions: Mapping[str, Function] = {}
    cron_jobs: tuple[CronJob, ...] = ()
    hooks: Hooks = Hooks()
    terms: Terms = Terms()
    ctx: Mapping[Any, Any] = {}


def load(names: Iterable[str]) -> Application:
    """Import modules, or arq's settings classes by dotted name, and return what they declare.

    Raises SetupError: a module can't be imported or has no functions, two functions share a name, or there are two settings classes.
    """
    found: dict[str, Function] = {}
    settings: list[Application] = []
    for name in dict.fromkeys(names):
        module, chosen = _import(name)
        own = _marked(module) if chosen is None else {}
        chosen = vars(module).get(SETTINGS) if chosen is None else chosen
        if chosen is not None:
            settings.append(read_settings(chosen))
            own |= settings[-1].functions
        if not own:
            file = getattr(module, "__file__", None) or "no file"
            raise SetupError(f"{name!r} ({file}) has no function with @function or @every, and no {SETTINGS} with functions")
        for each in own.values():
            if found.setdefault(each.name, each) != each:
                raise SetupError(f"two functions are called {each.name!r}")
    if len(settings) > 1:
        raise SetupError(f"two of the modules have {SETTINGS}: a worker takes one")
    return msgspec.structs.replace(settings[0] if settings else Application(), functions=found)


def _import(name: str) -> tuple[ModuleType, Any]:
    """Import a module, or a class in one."""
    if not _NAME.fullmatch(name):
        raise SetupError(f"{name!r} is no module's name: {_NAMED}")
    try:
        return importlib.import_module(name), None
    except ImportError as error:
        module, _, attribute = name.rpartition(".")
        if isinstance(error, ModuleNotFoundError) and error.name == name and module:
            parent = importlib.import_module(module) if importlib.util.find_spec(module) else None
            if parent is not None and hasattr(parent, attribute):
                return parent, getattr(parent, attribute)
        raise SetupError(f"can't import {name!r}: {_NAMED if name.endswith('.py') else error}") from error


def _mark_of(member: Any) -> Function | None:
    """Return the declaration that `@function` or `@every` attached to a module's member.

    None of the member's own code runs: proxies such as Flask's `current_app` and Django's `settings` raise on any attribute access
    outside a request or before they are configured.
    """
    mark = inspect.getattr_static(member, MARK, None)
    return mark if type(mark) is Function else None


def _marked(module: ModuleType) -> dict[str, Function]:
    own = {id(each): each for member in vars(module).values() if (each := _mark_of(member))}
    named: dict[str, Function] = {}
    for each in own.values():
        if named.setdefault(each.name, each) is not each:
            raise SetupError(f"two functions are called {each.name!r}")
    return named


def read_settings(settings: Any) -> Application:
    """Read a settings class, or a dict, as arq does."""
    given: dict[str, Any] = (
        {} if isinstance(settings, dict) else {k: v for each in reversed(settings.__mro__) for k, v in get_kwargs(each).items()}
    )
    given |= get_kwargs(settings)
    for name, instead in _OURS.items():
        if given.get(name) is not None and given[name] is not False:  # by identity: comparing a proxy may raise
            _log.warning("%s.%s is not used: it is %s here", SETTINGS, name, instead)
    crons = tuple(given.get("cron_jobs") or ())
    functions = [_function(each) for each in given.get("functions") or ()] + [_of_cron(each) for each in crons]
    if taken := {PUSH, PUSH_MANY} & {each.name for each in functions}:
        raise SetupError(f"a function can't be called {taken.pop()!r}")
    return Application(
        {each.name: each for each in functions},
        crons,
        Hooks(**{field: given.get(field) for field in Hooks.__struct_fields__}),
        Terms(**{field: _plain(given[field]) for field in Terms.__struct_fields__ if given.get(field) is not None}),
        given.get("ctx") or {},
    )


def _function(each: Any) -> Function:
    if marked := _mark_of(each):
        return marked
    try:
        read: ArqFunction = func(each)
    except (RuntimeError, ImportError, AttributeError) as error:
        raise SetupError(f"{SETTINGS}.functions: {error}") from error
    return plain(read.name, read.coroutine, read.timeout_s, read.max_tries, read.keep_result_s, forever=read.keep_result_forever)


def _of_cron(each: CronJob) -> Function:
    return plain(each.name, each.coroutine, each.timeout_s, each.max_tries, each.keep_result_s, forever=each.keep_result_forever)


def _plain(value: Any) -> Any:
    return to_seconds(value) if isinstance(value, timedelta) else value
