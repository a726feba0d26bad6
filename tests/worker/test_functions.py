"""Declaring functions, finding them, reading what they are called with and what they give back."""

import sys
import types
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET, Raw

from tailrace.wire import PushError, PushJob, SetupError
from tailrace.worker import Event, function
from tailrace.worker.calls._arq_settings import load
from tailrace.worker.calls._functions import Function, Threads, call, emitted, read_argument
from tests.worker import handlers
from tests.worker.handlers import Message

SAY: Function = handlers.say.__tailrace_function__  # type: ignore[attr-defined]


def test_functions_are_found_by_module() -> None:
    found = load(["tests.worker.handlers"]).functions
    assert {"say", "chat.html", "third_time"} <= found.keys()
    assert found["say"].argument is Message
    assert (found["say"].wants_ctx, found["third_time"].wants_ctx) == (False, True)


def test_a_function_stays_what_it_was() -> None:
    assert handlers.wrong(Message("x")) == "no event"


@pytest.mark.parametrize(
    ("module", "message"),
    [("tests.worker.nowhere", "can't import"), ("tests.worker.support", "no function"), ("no.such", "can't import")],
)
def test_modules_that_are_refused(module: str, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        load([module])


def test_two_functions_of_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tailrace_one", "tailrace_two"):
        module = types.ModuleType(name)

        @function(name="same")
        def same(message: Message) -> None: ...

        module.same = same  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(SetupError, match="two functions are called 'same'"):
        load(["tailrace_one", "tailrace_two"])
    assert len(load(["tailrace_one", "tailrace_one"]).functions) == 1


PROXY = """
class Proxy:
    def __getattribute__(self, name):
        raise RuntimeError("Working outside of application context.")

    __bool__ = __eq__ = __iter__ = __len__ = __call__ = __getattr__ = __getattribute__
    __class__ = property(lambda self: self.anything)

current_app = settings = Proxy()
"""
HANDLER = """
import msgspec
from tailrace.worker import Event, function

class Message(msgspec.Struct):
    sender: str

@function
def say(message: Message) -> Event:
    return Event("room:1", 1)
"""


@pytest.mark.parametrize(
    ("package", "imports"),
    [("", PROXY), ("flask", "from flask import current_app, g, request, session"), ("django", "from django.conf import settings")],
    ids=["proxy", "flask", "django"],
)
def test_a_module_may_hold_objects_that_can_not_be_inspected(
    package: str, imports: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package:
        pytest.importorskip(package)
    name = f"tailrace_with_{package or 'proxy'}"
    (tmp_path / f"{name}.py").write_text(imports + HANDLER)
    monkeypatch.syspath_prepend(tmp_path)
    assert list(load([name]).functions) == ["say"]


def no_argument() -> None: ...
def untyped(message): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
def two_arguments(one: Message, two: Message) -> None: ...
def push(message: Message) -> None: ...


@pytest.mark.parametrize("each", [no_argument, untyped, two_arguments, push])
def test_functions_that_are_refused(each: Any) -> None:
    with pytest.raises(SetupError):
        function(each)


@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        ([], {}, "$"),
        ([b"{}", b"{}"], {}, "$"),
        ([b'{"sender": 1}'], {}, "$.sender"),
        ([b"{}"], {}, "$"),
        ([b'{"sender": "x"}'], {"colour": 1}, "$.k"),
        ([b'{"sender": "\\ud800"}'], {}, "$"),
        ([b"[" * 100_000], {}, "$"),
    ],
)
def test_what_a_function_can_not_be_called_with(args: Any, kwargs: dict[str, Any], path: str) -> None:
    with pytest.raises(PushError) as caught:
        read_argument(SAY, args, kwargs)
    assert caught.value.path == path


def test_an_argument_is_validated_and_converted() -> None:
    made = read_argument(SAY, [b'{"sender": "x", "at": 7}'], {})
    assert made == Message("x", "", 7)


def test_what_a_function_may_emit() -> None:
    event = Event("room:1", {"x": 1})
    push = PushJob(to="room:1", data=Raw(b'{"x":1}'))
    assert emitted("f", None) == []
    assert emitted("f", event) == emitted("f", push) == [push]
    assert emitted("f", [event, push]) == emitted("f", iter((event, event))) == [push, push]
    assert emitted("f", Event("room:1", text="a\nb"))[0].text == "a\nb"
    assert emitted("f", Event("room:1", None))[0].data == Raw(b"null")


@pytest.mark.parametrize(
    ("result", "path"),
    [
        ("text", "$"),
        (7, "$"),
        ({"to": "room:1"}, "$"),
        ([Event("a", 1), 7], "$[1]"),
        (Event("a b", 1), "$.to"),
        (Event("a"), "$.data"),
        (Event("a", 1, text="x"), "$.text"),
        (Event("a", {1, object()}), "$.data"),
        (Event("a", "\ud800"), "$.data"),
        ([Event("a", 1), Event("a", 1, event="drain")], "$[1].event"),
        (PushJob(to="a", data=UNSET), "$.data"),
    ],
)
def test_what_a_function_may_not_emit(result: Any, path: str) -> None:
    with pytest.raises(PushError) as caught:
        emitted("f", result)
    assert caught.value.path == path


@pytest.mark.anyio
async def test_sync_functions_run_in_a_thread() -> None:
    import threading

    def where(message: Message) -> Event:
        return Event("a", threading.current_thread() is threading.main_thread())

    (push,) = await call(Function("where", where, Message), {}, Message("x"), Threads())
    assert msgspec.json.decode(push.data) is False  # type: ignore[arg-type]
