"""Sentinels: they know which server is the primary."""

import random
from collections.abc import Callable, Sequence

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError, RedisError

from tailrace.redis._connection import Find
from tailrace.redis._refusal import refusal
from tailrace.redis._urls import Address


def finder(service: str, sentinels: Sequence[Callable[[], Redis]]) -> Find:
    """Make a function that asks Sentinels, one after another, where a service's primary is.

    They are asked in any order, so one that knows less than the others isn't believed twice in a row. That the server is
    what they say shows by itself: a replica refuses our scripts. Source: Redis' "Guidelines for Sentinel clients".
    """

    async def find() -> Address:
        troubles: list[str] = []
        refused: Exception | None = None
        for client in random.sample(sentinels, len(sentinels)):
            try:
                async with client() as sentinel:
                    found = await sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)  # type: ignore[no-untyped-call]
            except (RedisError, OSError) as error:
                troubles.append(str(error))
                refused = error if refusal(error) else refused
            else:
                if found:
                    return found[0].decode(), int(found[1])
                troubles.append(f"no service is called {service!r}")
        raise RedisConnectionError("no Sentinel knows the primary: " + "; ".join(dict.fromkeys(troubles))) from refused

    return find
