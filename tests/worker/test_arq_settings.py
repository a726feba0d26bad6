"""What modules bring to a worker, `WorkerSettings` above all."""

import logging
import sys
import types
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from arq import func

from tailrace.wire import SetupError
from tailrace.worker import function
from tailrace.worker.calls._arq_settings import Application, load
from tests.worker import application
from tests.worker.handlers import Message


async def plain(ctx: dict[str, Any]) -> None: ...
async def push(ctx: dict[str, Any]) -> None: ...


@function
def marked(message: Message) -> None: ...


def module(monkeypatch: pytest.MonkeyPatch, name: str, settings: Any, **members: Any) -> str:
    made = types.ModuleType(name)
    made.__dict__.update({"WorkerSettings": settings, **members})
    monkeypatch.setitem(sys.modules, name, made)
    return name


def loaded(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Application:
    return load([module(monkeypatch, "tailrace_application", settings)])


@pytest.mark.parametrize("name", ["tests.worker.application", "tests.worker.application.WorkerSettings"])
def test_a_module_or_its_class(name: str) -> None:
    found = load([name])
    assert {"add", "once", "cron:beat"} <= found.functions.keys()
    assert (found.functions["once"].tries, found.functions["hasty"].timeout_s, found.functions["forgetful"].keep_result_s) == (1, 0.2, 0)
    assert found.hooks.after_job_end is application.after_job_end
    assert (found.terms.max_jobs, found.terms.allow_abort_jobs, found.terms.keep_result) == (20, True, 3600)


def test_what_a_class_inherits_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Base:
        functions: ClassVar[list[Any]] = [plain]
        job_timeout = timedelta(minutes=2)

    class WorkerSettings(Base):
        max_tries = 7

    found = loaded(monkeypatch, WorkerSettings)
    assert list(found.functions) == ["plain"]
    assert (found.terms.job_timeout, found.terms.max_tries) == (120, 7)


def test_a_dict_and_functions_of_both_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    found = loaded(monkeypatch, {"functions": [marked, func(plain, name="other")], "ctx": {"a": 1}})
    assert (found.functions["marked"].plain, found.functions["other"].plain, found.ctx) == (False, True, {"a": 1})


def test_what_is_set_otherwise_here_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        loaded(monkeypatch, {"functions": [plain], "queue_name": "mine", "burst": False})
    assert [record.getMessage() for record in caplog.records] == ["WorkerSettings.queue_name is not used: it is tailrace:calls here"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"functions": []}, "no WorkerSettings with functions"),
        ({"functions": [len]}, "not a coroutine function"),
        ({"functions": ["no.such.function"]}, "No module named"),
        ({"functions": [push]}, "can't be called 'push'"),
    ],
)
def test_settings_that_are_refused(monkeypatch: pytest.MonkeyPatch, settings: Any, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        loaded(monkeypatch, settings)


def test_a_worker_takes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [module(monkeypatch, f"tailrace_{name}", {"functions": [func(plain, name=name)]}) for name in ("one", "two")]
    with pytest.raises(SetupError, match="a worker takes one"):
        load(names)


def test_a_module_that_only_importlib_can_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from tailrace.worker import function\n\n@function\ndef greet(who: dict[str, str]) -> None: ...\n"
    (tmp_path / "my-handlers.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert list(load(["my-handlers"]).functions) == ["greet"]


@pytest.mark.parametrize("name", ["./handlers", "shop/handlers", "", ".handlers", "shop..handlers", "two words"])
def test_what_is_no_modules_name(name: str) -> None:
    with pytest.raises(SetupError, match="no module's name"):
        load([name])


@pytest.mark.parametrize("name", ["tests.worker.application.Nothing", "tests.nowhere.WorkerSettings", "nowhere"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(SetupError, match="can't import"):
        load([name])
