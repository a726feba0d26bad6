"""Every declaration works, or is refused when it is made."""

import functools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tailrace.wire import JobState, SetupError
from tailrace.worker import every, function
from tailrace.worker.calls._arq_settings import load
from tests.worker.declared import Order
from tests.worker.support import bench, data_of, working

FUNCTIONS = load(["tests.worker.declared"]).functions
CALLS = "tailrace:calls"
DIGITS = "0.1234567890123456789012345678901234567890"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("exact", f'{{"number": 1, "total": {DIGITS}}}', {"number": 1, "total": DIGITS}),
        ("one_number", "123456789012345678901234567890.5", {"total": "123456789012345678901234567890.5"}),
        ("raw", '{"a": [1.10, 2]}', {"raw": '{"a": [1.10, 2]}'}),
        ("keyword_only", '{"number": 2}', {"number": 2, "total": "0"}),
        ("keyword_only_ctx", '{"number": 3}', {"number": 3, "job": "job"}),
        ("with_default", '{"number": 4}', {"number": 4, "total": "0"}),
        ("with_default", "", {"number": 7, "total": "0"}),
        ("wrapped", '{"number": 5}', {"number": 5, "total": "0"}),
        ("wrapped_generator", '{"number": 6}', {"number": 6, "total": "0"}),
        ("wrapped_plain", '{"number": 7}', {"number": 7, "total": "0"}),
        ("hidden_inside", '{"number": 8}', {"number": 8, "total": "0"}),
        ("partial", '{"number": 9}', {"number": 9, "greeting": "hello"}),
        ("desk", '{"number": 9}', {"number": 9, "total": "0"}),
        ("retried", '{"number": 9}', {"number": 9, "total": "0"}),
    ],
)
async def test_a_declared_function_runs(redis_url: str, name: str, argument: str, expected: dict[str, Any]) -> None:
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS):
        job = f'{{"t": null, "f": "{name}", "a": [{argument}], "k": {{"receipt": ""}}, "et": 0}}'
        await seen.put("job", job.encode(), queue=CALLS)
        receipt = await seen.receipt("job")
        assert receipt.state == JobState.APPENDED, receipt.receipts
        (entry,) = await seen.appended(1)
        made = data_of(entry)
        del made["timestamp"]
        assert made == expected


@pytest.mark.anyio
async def test_an_argument_keeps_its_digits_in_a_result(redis_url: str) -> None:
    async with bench(redis_url) as seen, working(redis_url, FUNCTIONS):
        await seen.put("job", f'{{"f": "one_number", "a": [{DIGITS}], "et": 0}}'.encode(), queue=CALLS)
        await seen.appended(1)
        await seen.idle()
        assert DIGITS.encode() in await seen.queues.get("arq:result:job")


class Other(msgspec.Struct):
    name: str


class Unreadable:
    pass


def union(message: Order | Other) -> None: ...
def no_json(message: Unreadable) -> None: ...
def a_function(message: Callable[[], int]) -> None: ...
def within(message: list[dict[str, Unreadable | None]]) -> None: ...
def keywords(**message: Order) -> None: ...
def several(*message: Order) -> None: ...
def late_ctx(message: Order, ctx: dict[str, Any]) -> None: ...
def unknown(message: "NoSuchType") -> None: ...  # type: ignore[name-defined] # noqa: F821


@pytest.mark.parametrize("each", [union, no_json, a_function, within, keywords, several, late_ctx, unknown])
def test_what_can_not_work_is_refused_by_name(each: Any) -> None:
    with pytest.raises(SetupError, match=f"function '{each.__name__}'"):
        function(each)


@pytest.mark.parametrize("retry_on", ["ValueError", (ValueError("x"),), int, [ValueError, None]])
def test_retry_on_takes_exceptions_alone(retry_on: Any) -> None:
    def retried(order: Order) -> None: ...

    with pytest.raises(SetupError, match="retry_on"):
        function(retry_on=retry_on)(retried)


def test_what_has_no_name_needs_one() -> None:
    def named(greeting: str, order: Order) -> None: ...

    with pytest.raises(SetupError, match="give `name=`"):
        function(functools.partial(named, "hello"))


def test_a_scheduled_function_takes_ctx_alone_in_any_form() -> None:
    def keyword(*, ctx: dict[str, Any]) -> None: ...
    def variadic(**ctx: Any) -> None: ...

    assert every(1)(keyword) is keyword
    with pytest.raises(SetupError):
        every(1)(variadic)
