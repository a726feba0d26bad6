"""A producer as an application has one: numbers its pushes of each kind, and says what was accepted and what became of it.

`python -m tests.system.producing URL CLIENT FIRST [later]` runs it with the `Pusher` of whatever version the interpreter finds, until
SIGTERM. FIRST is a JSON object with each kind's first number. A line on stdout is `["accepted", kind, number]` or
`["receipt", kind, number, state, statuses]`.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tailrace.push import Push, Pusher

CALLS = "call"
"""The kind of calls: the next is made when the one before has ended, for calls have no order among themselves."""
_EVERY_S, _DELAY_S, _MANY, _PATIENCE_S = 0.05, 1.0, 5, 25


def _say(*words: object) -> None:
    print(json.dumps(words), flush=True)


class Producer:
    """Pushes and calls, each kind one after another."""

    def __init__(self, pusher: Pusher, client: str, first: Mapping[str, int]) -> None:
        self._pusher, self._client, self._first = pusher, client, first
        self.stopping = asyncio.Event()
        self._receipts: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        kinds: Mapping[str, Callable[[str, int], Awaitable[int]]] = {
            "data": self._data,
            "text": self._text,
            "many": self._many,
            "due": self._due,
            CALLS: self._call,
            f"client:{self._client}": self._plain,
        }
        await asyncio.gather(*[self._repeat(kind, step) for kind, step in kinds.items()])
        await asyncio.gather(*self._receipts)

    async def _repeat(self, kind: str, step: Callable[[str, int], Awaitable[int]]) -> None:
        number = self._first.get(kind, 0)
        while not self.stopping.is_set():
            number += await step(kind, number)
            await asyncio.sleep(_EVERY_S)

    async def _data(self, kind: str, number: int) -> int:
        """Push under a key, and a former number's again: that one is a duplicate."""
        await self._push(kind, number, key=f"{kind}/{number}")
        if number % 4 == 3:
            job = await self._pusher.push(kind, {"n": number - 2, "c": kind}, key=f"{kind}/{number - 2}")
            self._await_receipt("duplicate", number - 2, job.receipt(_PATIENCE_S))
        return 1

    async def _text(self, kind: str, number: int) -> int:
        job = await self._pusher.push(kind, text=json.dumps({"n": number, "c": kind}))
        self._accepted(kind, number, job.receipt(_PATIENCE_S))
        return 1

    async def _many(self, kind: str, number: int) -> int:
        numbers = range(number, number + _MANY)
        batch = await self._pusher.push_many([Push(to=kind, data={"n": each, "c": kind}) for each in numbers])
        (job,) = batch.jobs
        for each in numbers[:-1]:
            _say("accepted", kind, each)
        self._accepted(kind, numbers[-1], job.receipt(_PATIENCE_S))
        return _MANY

    async def _due(self, kind: str, number: int) -> int:
        await self._push(kind, number, delay_s=_DELAY_S)
        return 1

    async def _plain(self, kind: str, number: int) -> int:
        await self._push(kind, number)
        return 1

    async def _call(self, kind: str, number: int) -> int:
        job = await self._pusher.call("echo", {"n": number, "c": kind})
        _say("accepted", kind, number)
        await self._tell(kind, number, job.receipt(_PATIENCE_S))
        return 1

    async def _push(self, kind: str, number: int, **options: Any) -> None:
        job = await self._pusher.push(kind, {"n": number, "c": kind}, **options)
        self._accepted(kind, number, job.receipt(_PATIENCE_S))

    def _accepted(self, kind: str, number: int, receipt: Awaitable[Any]) -> None:
        _say("accepted", kind, number)
        self._await_receipt(kind, number, receipt)

    def _await_receipt(self, kind: str, number: int, receipt: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(self._tell(kind, number, receipt))
        self._receipts.add(task)
        task.add_done_callback(self._receipts.discard)

    async def _tell(self, kind: str, number: int, receipt: Awaitable[Any]) -> None:
        end = await receipt
        state, statuses = (end.state, ["duplicate" if each.duplicate else each.status for each in end.receipts]) if end else (None, [])
        _say("receipt", kind, number, state, statuses)


async def main(url: str, client: str, first: Mapping[str, int]) -> None:
    async with Pusher(url) as pusher:
        producer = Producer(pusher, client, first)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, producer.stopping.set)
        print("ready", flush=True)
        await producer.run()


def _arguments(words: Sequence[str]) -> tuple[str, str, Mapping[str, int]]:
    url, client, first, *_ = words
    return url, client, json.loads(first)


if __name__ == "__main__":
    if "later" in sys.argv:
        from tests.support.later import write_as_later

        write_as_later()
    asyncio.run(main(*_arguments(sys.argv[1:])))
