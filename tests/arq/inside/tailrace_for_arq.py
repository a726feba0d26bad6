"""Puts tailrace's worker in the place of arq's: a pytest plugin for the process that runs arq's own tests.

It is loaded before arq, so that arq's default queue is the one that tailrace serves, and its serializer JSON: what docs/functions.md
asks of an application. Everything else a test does with a worker goes to tailrace's.
"""

import asyncio
import builtins
import importlib.util
import inspect
import json
import os
import sys
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import msgspec
import pytest

QUEUE = "tailrace:calls"
OUTCOMES: dict[str, str] = {}
HOST, PORT = os.environ["ARQ_TESTS_REDIS"].split(":")
PASSED_ON = (
    *("on_startup", "on_shutdown", "on_job_start", "on_job_end", "after_job_end", "ctx", "max_jobs", "max_tries", "retry_jobs"),
    *("keep_result_forever", "allow_abort_jobs", "health_check_interval", "health_check_key", "timezone"),
)


class NotPromisedError(Exception):
    """The test calls a method of arq's Worker that is no part of its documented use."""


def _prepare() -> None:
    """Name the queue before arq's modules copy the name, and stand in for packages that its tests import."""
    origin = importlib.util.find_spec("arq")
    assert origin is not None
    assert origin.origin is not None
    spec = importlib.util.spec_from_file_location("arq.constants", Path(origin.origin).with_name("constants.py"))
    assert spec is not None
    assert spec.loader is not None
    constants = sys.modules["arq.constants"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(constants)
    vars(constants)["default_queue_name"] = QUEUE
    unpack = lambda data, raw: msgspec.msgpack.decode(data)  # noqa: ARG005, E731
    _module("msgpack", packb=msgspec.msgpack.encode, unpackb=unpack)
    _module("testcontainers")
    _module("testcontainers.redis", RedisContainer=Container)


def _module(name: str, **members: Any) -> None:
    made = sys.modules[name] = ModuleType(name)
    vars(made).update(members)


class Container:
    """The Redis that the test's process was given, for one in a container."""

    port = port_to_expose = 6379

    def __init__(self, image: str) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def get_container_host_ip(self) -> str:
        return HOST

    def get_exposed_port(self, port: int) -> str:
        del port
        return PORT


def read(payload: bytes) -> Any:
    """Read what a client of tailrace gets: JSON, with exceptions as the text that stands for them."""
    job = msgspec.json.decode(payload)
    job["a"] = tuple(job["a"])
    if isinstance(job.get("r"), str) and ("s" in job and not job["s"]):
        job["r"] = _error(job["r"])
    return job


def _error(text: str) -> Any:
    kind, _, message = text.partition(": ")
    made = next((vars(each)[kind] for each in (arq.worker, arq.jobs, builtins, asyncio) if kind in vars(each)), None)
    if made is None or not issubclass(made, BaseException) or made is arq.worker.Retry:
        return text if kind == "unable to serialize result" else RuntimeError(text)
    return made(message)


_prepare()
import arq  # noqa: E402
import arq.jobs  # noqa: E402
import arq.worker  # noqa: E402

from tailrace.worker._config import WorkerConfig  # noqa: E402
from tailrace.worker._worker import run  # noqa: E402
from tailrace.worker.calls import _lifecycle  # noqa: E402
from tailrace.worker.calls._arq_settings import read_settings  # noqa: E402
from tailrace.worker.calls._executor import Calls  # noqa: E402

vars(arq.jobs)["pickle"] = SimpleNamespace(dumps=msgspec.json.encode, loads=read)
StockWorker: Any = arq.worker.Worker
_current: ContextVar[Any] = ContextVar("worker")


class CountedCalls(Calls):
    """Tells the worker that runs them how many calls ended."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        _current.get().served.append(self)


vars(_lifecycle)["Calls"] = CountedCalls


def _left_alone(_: Any, __: int) -> None:
    """Take what arq's constructor sets a counter to."""


class Worker(StockWorker):  # type: ignore[misc]
    """arq's constructor, `run`, `async_run`, `run_check` and `close`; all that works is tailrace's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.served: list[CountedCalls] = []
        super().__init__(*args, **kwargs)
        self._settings = {name: getattr(self, name) for name in PASSED_ON if name not in ("health_check_key", "timezone")}
        self._settings |= {name: kwargs[name] for name in ("health_check_key", "timezone") if name in kwargs}
        self._settings |= {"job_timeout": self.job_timeout_s, "keep_result": self.keep_result_s}
        self._settings |= {"job_completion_wait": self._job_completion_wait, "cron_jobs": self.cron_jobs}
        self._settings["functions"] = [each for each in self.functions.values() if isinstance(each, arq.worker.Function)]
        self.on_shutdown = None  # it has been called when `main` ends

    async def main(self) -> None:
        if self.pool is None:
            self._pool: Any = await arq.create_pool(
                self.redis_settings,
                job_serializer=self.job_serializer,
                job_deserializer=self.job_deserializer,
                default_queue_name=self.queue_name,
            )
        if self.queue_name != QUEUE:
            raise NotPromisedError("queue_name")
        self._settings["retry_jobs"] = self.retry_jobs
        _current.set(self)
        config = WorkerConfig(redis=f"redis://{HOST}:{PORT}/0", burst=self.burst, function_wait_s=0, calls_poll_s=0.01)
        stopping = asyncio.Event()
        work = asyncio.create_task(run(config, read_settings(self._settings), stopping, lambda: None))
        try:
            await asyncio.shield(work)
        finally:
            stopping.set()
            await work

    def _count(self, name: str) -> int:
        return sum(int(dict(each.partition("=")[::2] for each in calls.counts.split())[name]) for calls in self.served)

    jobs_complete = property(lambda self: self._count("j_complete"), _left_alone)
    jobs_failed = property(lambda self: self._count("j_failed"), _left_alone)
    jobs_retried = property(lambda self: self._count("j_retried"), _left_alone)

    def _not_promised(self, *_: Any, **__: Any) -> Any:
        raise NotPromisedError

    start_jobs = run_job = _poll_iteration = run_cron = heart_beat = handle_sig = handle_sig_wait_for_completion = _not_promised


# arq reads the names of settings from it
Worker.__signature__ = inspect.signature(StockWorker)
vars(arq.worker)["Worker"] = vars(arq)["Worker"] = Worker


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how a test ended; a fixture that fails counts as the test."""
    if report.when == "call" or report.failed or (report.when == "setup" and report.skipped):
        OUTCOMES[report.nodeid] = report.outcome if OUTCOMES.get(report.nodeid) != "failed" else "failed"


def pytest_sessionfinish() -> None:
    """Write how the tests ended, for the process that started this one."""
    Path(os.environ["ARQ_TESTS_OUTCOMES"]).write_text(json.dumps(OUTCOMES))
