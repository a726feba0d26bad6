"""Functions declared in every form that works."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw

from tailrace.worker import Event, function


class Order(msgspec.Struct):
    number: int = 0
    total: Decimal = Decimal(0)


class FlakyError(Exception): ...


def logged(call: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap as most decorators do: in a plain function, whatever is inside."""

    @functools.wraps(call)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    return wrapper


def hidden(call: Callable[..., Any]) -> Callable[[Order], Any]:
    """Wrap without saying what is inside."""

    def wrapper(order: Order) -> Any:
        return call(order)

    wrapper.__name__ = call.__name__
    return wrapper


def told(order: Order) -> Event:
    return Event("orders", {"number": order.number, "total": str(order.total)})


@function
def exact(order: Order) -> Event:
    return told(order)


@function
def one_number(total: Decimal) -> Event:
    return Event("orders", {"total": str(total)})


@function
def raw(payload: Raw) -> Event:
    return Event("orders", {"raw": bytes(payload).decode()})


@function
def keyword_only(*, order: Order) -> Event:
    return told(order)


@function
async def keyword_only_ctx(order: Order, *, ctx: dict[str, Any]) -> Event:
    return Event("orders", {"job": ctx["job_id"], "number": order.number})


@function
async def with_default(order: Order = Order(7)) -> Event:  # noqa: B008 - as an application may
    return told(order)


@function
@logged
async def wrapped(order: Order) -> Event:
    return told(order)


@function
@logged
async def wrapped_generator(order: Order) -> AsyncIterator[Event]:
    yield told(order)


@function
@logged
def wrapped_plain(order: Order) -> Iterator[Event]:
    yield told(order)


@function
@hidden
async def hidden_inside(order: Order) -> Event:
    return told(order)


def greeted(greeting: str, order: Order) -> Event:
    return Event("orders", {"greeting": greeting, "number": order.number})


partial = function(name="partial")(functools.partial(greeted, "hello"))


class Desk:
    async def __call__(self, order: Order) -> Event:
        return told(order)


desk = function(name="desk")(Desk())


@function(retry_on=FlakyError)
async def retried(ctx: dict[str, Any], order: Order) -> Event:
    if ctx["job_try"] == 1:
        raise FlakyError
    return told(order)
