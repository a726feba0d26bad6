"""Connections of redis-py's, without two of its traps, and faster."""

import asyncio
from typing import Any

from hiredis import pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError


class _Sound(AbstractConnection):
    """Sends commands.

    Under uvloop, writing to a connection that is just gone raises RuntimeError, which nobody takes for Redis' trouble.
    Before Python 3.12, `asyncio.wait_for`, which redis-py sends in, loses a cancellation that comes as a command goes
    out (CPython #86296).
    """

    def pack_command(self, *args: Any) -> list[bytes]:
        """Write a command in Redis' protocol, as redis-py does, in C."""
        name, *rest = args
        words = name.encode().split() if isinstance(name, str) else name.split()
        return [pack_command((*words, *rest))]

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        task = asyncio.current_task()
        cancellations = task.cancelling() if task else 0
        try:
            await super().send_packed_command(*args, **kwargs)
        except RuntimeError as error:
            raise RedisConnectionError(f"the connection is gone: {error}") from error
        if task and task.cancelling() > cancellations:
            await self.disconnect(nowait=True)  # the answer that is on its way is nobody's
            raise asyncio.CancelledError


class _SoundConnection(_Sound, Connection): ...


class _SoundSSLConnection(_Sound, SSLConnection): ...


class _SoundUnixConnection(_Sound, UnixDomainSocketConnection): ...


_SOUND = {Connection: _SoundConnection, SSLConnection: _SoundSSLConnection, UnixDomainSocketConnection: _SoundUnixConnection}


def make_sound(pool: ConnectionPool) -> None:
    """Let a pool make connections of this module's."""
    pool.connection_class = _SOUND[pool.connection_class]
