"""One connection over which requests follow each other, none waiting for the answers of those before."""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, ResponseError


class Pipe:
    """Sends requests in the order in which they are asked, and gives each its answer.

    Where the connection fails, or who waits is cancelled, all requests that are on their way fail: whether Redis has run them isn't
    known. What comes next connects anew.
    """

    def __init__(self, redis: Redis) -> None:
        """Use one connection of a client's, which stays in use until the client is closed."""
        self._pool = redis.connection_pool
        self._connection: Any = None
        self._sending, self._reading = asyncio.Lock(), asyncio.Lock()  # each lets through who came first

    async def run(self, script: AsyncScript, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a script. Raises redis.RedisError."""
        try:
            return await self.ask("EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self.ask("EVAL", script.script, len(keys), *keys, *args)

    async def ask(self, *command: Any) -> Any:
        """Send a command, and return its answer. Raises redis.RedisError."""
        try:
            async with self._sending:
                if self._connection is None:
                    self._connection = self._pool.get_available_connection()  # type: ignore[no-untyped-call]
                if not self._connection.is_connected:
                    async with self._reading:  # all who wait for an answer have to know first that there is none
                        pass
                await self._connection.send_command(*command)
            async with self._reading:
                return await self._connection.read_response()
        except ResponseError:
            raise
        except BaseException:
            await self._drop()
            raise

    async def _drop(self) -> None:
        if self._connection:
            await self._connection.disconnect(nowait=True)
