"""A dialogue with Redis: a connection asks one thing after another, and hands each answer over in the turn of the loop it comes in."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from math import inf
from types import coroutine
from typing import Any, NoReturn, TypeAlias, cast

from hiredis import Reader
from redis.exceptions import ConnectionError as RedisConnectionError, InvalidResponse, ResponseError, TimeoutError as RedisTimeoutError

Take: TypeAlias = Callable[[Any], Coroutine[Any, Any, bytes]]
"""Takes an answer, as hiredis reads it, and returns the next question, packed."""
_LOOK_S = 1.0


class Dialogue(asyncio.Protocol):
    """The protocol of a connection that was opened by redis-py, which needs longer for an answer than an edge for all else of an event."""

    def __init__(self, take: Take, patience_s: float) -> None:
        """`patience_s` is how long an answer may take."""
        self._take, self._patience_s = take, patience_s
        self._replies = Reader(InvalidResponse, ResponseError)
        self._transport: asyncio.Transport
        self._asked = inf
        """When the question went out whose answer is waited for, on the monotonic clock."""
        self._woken = asyncio.Event()
        self._rest: Coroutine[Any, Any, bytes] | None = None
        self._error: Exception | None = None

    async def run(self, question: bytes) -> NoReturn:
        """Ask, and go on asking until something fails.

        `take` begins as an answer comes. Where it doesn't have to wait, the next question goes out at once, and no task is woken;
        where it does, its rest runs in the task that called this: before it first waits there is no current task.
        Raises redis.RedisError, and what `take` raises.
        """
        self._ask(question)
        self._look()
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                if self._rest:
                    rest, self._rest = self._rest, None
                    self._ask(await rest)
                if self._error:  # only now: what has been begun is brought to its end
                    raise self._error
        finally:
            self._timer.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._former = self._transport.get_protocol()

    def data_received(self, data: bytes) -> None:
        try:
            self._replies.feed(data)
            answer = self._replies.gets()
        except InvalidResponse as error:
            self._fail(error)
            return
        if isinstance(answer, Exception):
            self._fail(answer)
        elif answer is not False:  # which is what there is of one that isn't whole yet
            self._begin(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._former.connection_lost(exc)
        self._fail(RedisConnectionError(f"Connection closed by server: {exc}" if exc else "Connection closed by server"))

    def _begin(self, answer: Any) -> None:
        self._asked = inf
        taking = self._take(answer)
        try:
            waits_for = taking.send(None)
        except StopIteration as done:
            self._ask(done.value)
        except Exception as error:  # noqa: BLE001 - `run` raises it
            self._fail(error)
        else:
            self._rest = _rest(taking, waits_for)
            self._woken.set()

    def _ask(self, question: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(question)
            self._asked = time.monotonic()

    def _look(self) -> None:
        if time.monotonic() - self._asked > self._patience_s:
            self._fail(RedisTimeoutError("Timeout reading from Redis"))
        self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._woken.set()


@coroutine
def _rest(taking: Coroutine[Any, Any, bytes], waits_for: Any) -> Generator[Any, Any, bytes]:
    """Go on with what has been begun and waits."""
    try:
        while True:
            try:
                value = yield waits_for
            except BaseException as error:  # noqa: BLE001 - a cancellation is for what waits, too
                waits_for = taking.throw(error)
            else:
                waits_for = taking.send(value)
    except StopIteration as done:
        return cast("bytes", done.value)
