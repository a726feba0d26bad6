"""`tailrace doctor`: looks at Redis, this machine and, if asked, a proxy, and says what to change."""

import argparse
import asyncio
import http.client
import resource
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from tailrace.cli._command import Command
from tailrace.cli._findings import (
    Finding,
    Proxied,
    Verdict,
    judge_clock,
    judge_files,
    judge_limits,
    judge_proxy,
    judge_queue,
    judge_server,
)
from tailrace.cli._locate import Target, add_target, find_target
from tailrace.cli._logging import redact
from tailrace.cli._settings import SettingsError
from tailrace.log import connect
from tailrace.wire import Keys

_WAIT_S = 5.0
_ALIVE_S = 15  # a worker gives a sign of life more often
_EPILOG = """
examples:
  tailrace doctor
  tailrace doctor --redis redis://10.0.0.5:6379/0
  tailrace doctor --url https://www.example.org/sse     # does a proxy hold events back?

Exit status: 0 nothing is wrong (there may be warnings), 1 something is.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", metavar="URL", help="an edge's /sse as browsers reach it, to see whether a proxy buffers")
    add_target(parser)


def _run(arguments: argparse.Namespace) -> int:
    target = find_target(arguments)
    findings = asyncio.run(_look(target))
    findings.append(judge_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if arguments.url:
        findings += _look_through(arguments.url)
    for verdict, what, cure in findings:
        print(f"{verdict:<8} {what}" + (f"\n{'':<8} -> {cure}" if cure else ""))
    return int(any(finding.verdict is Verdict.WRONG for finding in findings))


async def _look(target: Target) -> list[Finding]:
    keys = Keys(target.prefix)
    findings = []
    for url in dict.fromkeys((target.redis, target.queue_redis)):
        try:
            async with connect(url) as redis:
                findings += [Finding(Verdict.OK, f"Redis answers at {redact(url)}"), *await _server(redis)]
                if url == target.queue_redis:
                    findings += await _queue(redis, keys)
        except (RedisError, OSError) as error:
            findings.append(Finding(Verdict.WRONG, f"{redact(url)}: {redact(str(error))}", "start Redis, or name another with --redis"))
    return findings


async def _server(redis: Redis) -> list[Finding]:
    info = await redis.info()
    before = time.time()
    seconds, microseconds = await redis.time()
    skew_s = (before + time.time()) / 2 - seconds - microseconds / 1e6
    return [*judge_server(info), *judge_limits(await _config(redis)), judge_clock(skew_s)]


async def _config(redis: Redis) -> dict[str, str]:
    """Read some of Redis' configuration; nothing where a provider forbids it."""
    try:
        return {**await redis.config_get("timeout"), **await redis.config_get("maxclients")}
    except ResponseError:
        return {}


async def _queue(redis: Redis, keys: Keys) -> Iterator[Finding]:
    return judge_queue(
        foreign=bool(await redis.exists(f"{keys.queue()}:health-check")),  # arq's own sign of life, `<queue>:health-check`
        workers=await redis.zcount(keys.workers(), (await redis.time())[0] - _ALIVE_S, "+inf"),
        waiting=await redis.zcard(keys.queue()) + await redis.zcard(keys.calls()),
        dead=await redis.xlen(keys.dead()),
    )


def _look_through(url: str) -> Iterator[Finding]:
    try:
        return judge_proxy(_proxied(url))
    except (OSError, http.client.HTTPException) as error:
        return iter([Finding(Verdict.WRONG, f"{redact(url)}: {error}", "see that the URL is right and that an edge runs behind it")])


def _proxied(url: str) -> Proxied:
    """Open a stream and see how soon its first event arrives."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"--url: {url} is not an http:// or https:// address")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_WAIT_S)
    try:
        began = time.monotonic()
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip, br, zstd"}
        connection.request("GET", f"{parts.path or '/'}?{parts.query}", headers=headers)
        response = connection.getresponse()
        first_s, connect_s = _first_event(response, began) if response.status == 200 else (None, None)
        return Proxied(response.status, {name.lower(): value for name, value in response.getheaders()}, first_s, connect_s)
    finally:
        connection.close()


def _first_event(response: http.client.HTTPResponse, began: float) -> tuple[float | None, float | None]:
    """Give when the first byte came and when the first event was whole; a compressed stream counts by its bytes alone."""
    first_s: float | None = None
    text = b""
    try:
        while time.monotonic() - began < _WAIT_S and (part := response.read1()):
            first_s = first_s if first_s is not None else time.monotonic() - began
            text += part
            if response.getheader("content-encoding") or b"\n\n" in text.partition(b"\nevent:")[2]:
                return first_s, time.monotonic() - began
    except TimeoutError:
        pass
    return first_s, None


COMMAND = Command("Look for what is wrong with Redis, this machine or a proxy, and say what to change.", _configure, _run, _EPILOG)
