"""Models of pydantic where a Struct could stand. Without pydantic, nothing imports it."""

import subprocess
import sys
from decimal import Decimal
from typing import Any

import msgspec
import pydantic
import pytest

from tailrace.push import Push, Pusher
from tailrace.wire import JobState, PushError, SetupError
from tailrace.worker import Event, function
from tailrace.worker.calls._functions import Function, emitted, read_argument
from tests.worker.support import bench, data_of, working


class Item(pydantic.BaseModel):
    name: str
    price: Decimal = Decimal(1)


class Basket(pydantic.BaseModel):
    items: list[Item]
    note: str = pydantic.Field(default="", alias="Note")


class Envelope(msgspec.Struct):
    item: Item


def one(basket: Basket) -> Event:
    return Event("items", basket.items[0])


def many(items: list[Item]) -> list[Event]:
    return [Event("items", {"item": each}) for each in items]


def either(item: Item | None) -> Event:
    return Event("items", {"item": item})


def enclosed(envelope: Envelope) -> Event:
    return Event("items", envelope)


def marked(call: Any) -> Function:
    made: Function = function(call).__tailrace_function__
    return made


def read(call: Any, text: bytes) -> Any:
    return read_argument(marked(call), [text], {})


def test_a_model_is_validated() -> None:
    assert read(one, b'{"items": [{"name": "a", "price": "0.10"}], "Note": "x"}').items[0].price == Decimal("0.10")
    assert read(many, b'[{"name": "a"}]') == [Item(name="a")]
    assert read(either, b"null") is None
    assert read(enclosed, b'{"item": {"name": "a"}}').item == Item(name="a")


@pytest.mark.parametrize(
    ("call", "text", "path"),
    [
        (one, b'{"items": [{"name": "a"}, {"name": 5}]}', "$.items[1].name"),
        (one, b"{}", "$.items"),
        (one, b"5", "$"),
        (many, b"[{}]", "$[0].name"),
        (enclosed, b'{"item": {}}', "$.item"),
    ],
)
def test_what_is_not_valid_is_named_by_its_path(call: Any, text: bytes, path: str) -> None:
    with pytest.raises(PushError) as caught:
        read(call, text)
    assert caught.value.path == path


def test_a_model_in_a_struct_is_named_by_its_place() -> None:
    with pytest.raises(PushError, match="name: Field required") as caught:
        read(enclosed, b'{"item": {}}')
    assert "\n" not in caught.value.message


def test_models_are_written_as_pydantic_does() -> None:
    (push,) = emitted("f", Event("items", {"item": Item(name="a", price=Decimal("0.10"))}))
    assert bytes(push.data) == b'{"item":{"name":"a","price":"0.10"}}'  # type: ignore[arg-type]


def test_a_union_with_a_struct_is_refused() -> None:
    def mixed(message: Item | Envelope) -> None: ...

    with pytest.raises(SetupError, match="function 'mixed'"):
        function(mixed)


@pytest.mark.anyio
async def test_producers_and_functions_pass_models_on(redis_url: str) -> None:
    functions = {name: marked(call) for name, call in (("one", one), ("enclosed", enclosed))}
    async with bench(redis_url) as seen, working(redis_url, functions), Pusher(redis_url) as pusher:
        for name, argument in (("one", Basket(items=[Item(name="a")])), ("enclosed", {"item": Item(name="b")})):
            end = await (await pusher.call(name, argument)).receipt()
            assert end is not None
            assert end.state == JobState.APPENDED, end.receipts
        await (await pusher.push("items", Item(name="c"))).receipt()
        await (await pusher.push_many([Push(to="items", data={"item": Item(name="d")})])).receipts()
        made = [data_of(entry) for entry in await seen.appended(4)]
        assert [each.get("item", each)["name"] for each in made] == ["a", "b", "c", "d"]


def test_it_is_not_imported_for_who_does_not_use_it() -> None:
    code = "import sys, tailrace.push, tests.worker.declared; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
