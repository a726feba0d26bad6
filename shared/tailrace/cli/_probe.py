"""A stream through whatever stands before an edge: how soon its first event comes, and one that is appended while it is open.

The second matters, for a proxy that buffers often lets through what comes together with the response's head.
"""

import asyncio
import http.client
import time
import uuid
import zlib
from urllib.parse import urlencode, urlsplit

from redis.exceptions import RedisError

from tailrace.cli._findings import NO_ANSWER, Proxied
from tailrace.cli._locate import Target
from tailrace.events import LogWriter, NewEvent, Registry
from tailrace.redis import connect, redact
from tailrace.service import SettingsError
from tailrace.wire import Keys, bucket, client_channel, encode_json_block

_WAIT_S = 5.0
_GZIP = 31  # zlib's number for a gzip stream


def probe(url: str, target: Target) -> Proxied:
    """Open a stream as a client of its own, send it an event if its edge is on the target's Redis, and see when each comes.

    Raises:
        SettingsError: no http or https URL.
        OSError, http.client.HTTPException, zlib.error: nothing answers there, or not in HTTP.
    """
    client = str(uuid.uuid4())
    connection, path = _address(url, client)
    try:
        began = time.monotonic()
        connection.request("GET", path, headers={"Accept": "text/event-stream", "Accept-Encoding": "gzip"})
        try:
            response = connection.getresponse()
        except TimeoutError:
            return Proxied(NO_ANSWER, {})
        headers = {name.lower(): value for name, value in response.getheaders()}
        if response.status != http.client.OK:
            return Proxied(response.status, headers)
        stream = _Stream(response)
        connect_s = stream.until(b"event: connect", began)
        sent = time.monotonic()
        if connect_s is None or not asyncio.run(_send(target, client)):
            return Proxied(response.status, headers, connect_s)
        return Proxied(response.status, headers, connect_s, sent=True, event_s=stream.until(client.encode() + b"-probe", sent))
    finally:
        connection.close()


def _address(url: str, client: str) -> tuple[http.client.HTTPConnection, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        url.encode("ascii")
    except ValueError as error:
        raise SettingsError(f"--url: {redact(url)} is no URL in ASCII with a port up to 65535") from error
    if parts.scheme not in ("http", "https") or not host:
        raise SettingsError(f"--url: {redact(url)} is not an http:// or https:// address")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    query = "&".join([*filter(None, [parts.query]), urlencode({"client_id": client})])
    return kind(host, port, timeout=_WAIT_S), f"{parts.path or '/'}?{query}"


class _Stream:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self._text = b""
        self._unzip = zlib.decompressobj(_GZIP) if response.getheader("content-encoding") == "gzip" else None

    def until(self, text: bytes, began: float) -> float | None:
        """Read on until an event that holds `text` is whole; give the seconds since `began`, or None if it doesn't come in time."""
        while b"\n\n" not in self._text.partition(text)[2]:
            try:
                part = self._response.read1()
            except TimeoutError:
                return None
            if not part or time.monotonic() - began > _WAIT_S:
                return None
            self._text += self._unzip.decompress(part) if self._unzip else part
        return time.monotonic() - began


async def _send(target: Target, client: str) -> bool:
    """Append an event for one client; False if its edge isn't on this Redis."""
    keys, channel = Keys(target.prefix), client_channel(client)
    try:
        async with connect(target.redis) as redis:
            if not any(each.client == client for each in await Registry(redis, keys).clients()):
                return False
            shard = bucket(channel, int(await redis.get(keys.layout()) or 1))
            block = encode_json_block("message", b'"%b-probe"' % client.encode())
            await LogWriter(redis, keys, shard).append([NewEvent("0", channel, block)])
    except (RedisError, OSError):
        return False
    return True
