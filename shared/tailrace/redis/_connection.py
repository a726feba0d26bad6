"""Connections of redis-py's, without its traps, faster, and some that ask for their address first."""

import asyncio
import errno
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from hiredis import pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError, ReadOnlyError, ResponseError

from tailrace.redis._urls import Address

Find = Callable[[], Awaitable[Address]]
"""Says where the primary is now."""


_OTHER_HOST = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_ROOM = 32 << 10
"""Bytes that may wait to be sent; what is within it isn't waited for."""


class NoFilesError(RedisConnectionError):
    """This process can't open another connection, whether or not Redis is there."""

    def __init__(self, name: str) -> None:
        """`name` is that of the system's error: EMFILE is the process' own limit, ENFILE the system's."""
        super().__init__(f"no file descriptor is left to connect to Redis ({name}): raise the limit of open files (ulimit -n)")


def lacks_files(error: BaseException | None) -> bool:
    """Say whether this process has no file descriptor left to connect with, which redis-py may have wrapped in an error of its own."""
    while error is not None and not isinstance(error, NoFilesError):
        error = error.__cause__ or error.__context__
    return error is not None


class _Sound(AbstractConnection):
    """Sends commands: a short one at once, where redis-py makes a task for each, which costs two more turns of the loop.

    Under uvloop, writing to a connection that is just gone raises RuntimeError, and writing to one that another task closes
    meanwhile AttributeError, which nobody takes for Redis' trouble.
    Before Python 3.12, `asyncio.wait_for`, which redis-py sends in, loses a cancellation that comes as a command goes
    out (CPython #86296). A server that has become a replica, or refuses because it has lost its own (NOREPLICAS), isn't
    where events go any more: the next command asks anew where the primary is.
    """

    async def _connect(self) -> None:
        try:
            await super()._connect()  # type: ignore[no-untyped-call,safe-super]  # of the class that this is mixed in before
        except ssl.SSLCertVerificationError as error:
            raise RedisConnectionError(_refused(error)) from error
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise NoFilesError(errno.errorcode[error.errno]) from error
            raise

    def pack_command(self, *args: Any) -> list[bytes]:
        """Write a command in Redis' protocol, as redis-py does, in C."""
        name, *rest = args
        words = name.encode().split() if isinstance(name, str) else name.split()
        return [pack_command((*words, *rest))]

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if not self._sent(command):
            await self._send(command, check_health=check_health)

    def _sent(self, command: Any) -> bool:
        """Send a command that doesn't have to wait; another is left as it is."""
        transport = self._writer.transport if self._writer else None
        if transport is None or transport.is_closing() or not isinstance(command, list) or self.health_check_interval:
            return False
        data = b"".join(command)
        if len(data) + transport.get_write_buffer_size() > _ROOM:
            return False
        try:
            transport.write(data)
        except RuntimeError as error:  # uvloop's, where the handle is closed and `is_closing` doesn't say so yet
            raise RedisConnectionError(f"the connection is gone: {error}") from error
        return True

    async def _send(self, command: Any, *, check_health: bool) -> None:
        task = asyncio.current_task()
        cancellations = task.cancelling() if task else 0
        try:
            await super().send_packed_command(command, check_health)
        except (RuntimeError, AttributeError) as error:
            if isinstance(error, AttributeError) and self._writer:
                raise
            raise RedisConnectionError(f"the connection is gone: {error}") from error
        if task and task.cancelling() > cancellations:
            await self.disconnect(nowait=True)  # the answer that is on its way is nobody's
            raise asyncio.CancelledError

    async def hand_over(self, successor: asyncio.Protocol) -> None:
        """Connect, and let another protocol have what comes; redis-py's only wants to hear of the end.

        Raises redis.RedisError.
        """
        await self.connect()  # type: ignore[no-untyped-call]
        if not self._reader or not self._writer or self._reader.at_eof() or self._writer.is_closing():
            raise RedisConnectionError("the connection is gone")
        transport = self._writer.transport
        successor.connection_made(transport)
        transport.set_protocol(successor)

    async def disconnect(self, *args: Any, **kwargs: Any) -> None:
        """Close without a goodbye: TLS waits for the server's, and redis-py raises TimeoutError where a silent one never says it."""
        if self._writer:
            self._writer.transport.abort()
        await super().disconnect(*args, **kwargs)

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)
        except ResponseError as error:
            if isinstance(error, ReadOnlyError) or str(error).startswith("NOREPLICAS"):
                await self.disconnect(nowait=True)
                raise ReadOnlyError(str(error)) from None
            raise


def _refused(error: ssl.SSLCertVerificationError) -> str:
    """Say what is wrong with a server's certificate."""
    hint = "; to accept any name, add ssl_check_hostname=no to the URL" if error.verify_code in _OTHER_HOST else ""
    return f"the server's TLS certificate is refused: {error.verify_message.rstrip('.')}{hint}"


class _SoundConnection(_Sound, Connection): ...


class _SoundSSLConnection(_Sound, SSLConnection): ...


class _SoundUnixConnection(_Sound, UnixDomainSocketConnection): ...


class _Finding(Connection):
    """Asks where the primary is each time that it connects."""

    def __init__(self, *, find: Find, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._find = find

    async def _connect(self) -> None:
        self.host, self.port = await self._find()
        await super()._connect()  # type: ignore[no-untyped-call]


class _FindingConnection(_Finding, _SoundConnection): ...


class _FindingSSLConnection(_Finding, _SoundSSLConnection): ...


_SOUND = {Connection: _SoundConnection, SSLConnection: _SoundSSLConnection, UnixDomainSocketConnection: _SoundUnixConnection}
_FINDING = {_SoundConnection: _FindingConnection, _SoundSSLConnection: _FindingSSLConnection}


def make_sound(pool: ConnectionPool) -> None:
    """Let a pool make connections of this module's."""
    pool.connection_class = _SOUND[pool.connection_class]


def make_finding(pool: ConnectionPool, find: Find) -> None:
    """Let a sound pool's connections go where `find` says."""
    pool.connection_class = _FINDING[pool.connection_class]
    pool.connection_kwargs["find"] = find
