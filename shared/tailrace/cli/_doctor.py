"""`tailrace doctor`: looks at Redis, this machine and, if asked, a proxy, and says what to change."""

import argparse
import asyncio
import http.client
import resource
import time
import zlib
from collections.abc import Iterator

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from tailrace.cli._findings import (
    Finding,
    Verdict,
    judge_clock,
    judge_files,
    judge_limits,
    judge_proxy,
    judge_queue,
    judge_server,
)
from tailrace.cli._locate import Target, add_target, find_target
from tailrace.cli._probe import probe
from tailrace.cli._rehearsal import log_commands, queue_commands, rehearse
from tailrace.redis import connect, connect_queue, primaries, redact, refusal, trouble
from tailrace.service import Command
from tailrace.service._plain import plain
from tailrace.wire import MAX_PARTITIONS, Keys, SetupError

_CONFIG = ("timeout", "maxclients", "cluster-enabled", "cluster-require-full-coverage")
_ALIVE_S = 15  # a worker gives a sign of life more often
_EPILOG = """
examples:
  tailrace doctor
  tailrace doctor --redis redis://10.0.0.5:6379/0
  tailrace doctor --url https://www.example.org/sse     # does a proxy hold events back?

Exit status: 0 nothing is wrong (there may be warnings), 1 something is.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", metavar="URL", help="an edge's /sse as browsers reach it, to see whether a proxy holds events back")
    add_target(parser)


def _run(arguments: argparse.Namespace) -> int:
    target = find_target(arguments)
    findings = asyncio.run(_look(target))
    findings.append(judge_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if arguments.url:
        findings += _look_through(arguments.url, target)
    for verdict, what, cure in findings:
        print(f"{verdict:<8} {plain(what)}" + (f"\n{'':<8} -> {cure}" if cure else ""))
    return int(any(finding.verdict is Verdict.WRONG for finding in findings))


async def _look(target: Target) -> list[Finding]:
    keys = Keys(target.prefix)
    findings = []
    for url in dict.fromkeys((target.redis, target.queue_redis)):
        try:
            async with connect(url) as redis:
                servers = await primaries(redis)
                found = [(server, finding) for server in servers for finding in await _server(server, keys)]
                findings.append(Finding(Verdict.OK, f"Redis answers at {redact(url)}"))
                findings += [_at(server, finding) if servers[1:] else finding for server, finding in found]
            if url == target.queue_redis:
                async with connect_queue(url) as redis:
                    findings += await rehearse(redis, queue_commands(keys))
                    findings += await _queue(redis, keys)
        except SetupError as error:
            findings.append(Finding(Verdict.WRONG, str(error), "see the URLs in --redis and --queue-redis"))
        except (RedisError, OSError) as error:
            findings.append(_unusable(url, error))
    return findings


def _unusable(url: str, error: Exception) -> Finding:
    if refused := refusal(error):
        return Finding(Verdict.WRONG, f"{redact(url)}: {redact(trouble(error))}", refused.cure)
    return Finding(Verdict.WRONG, f"{redact(url)}: {redact(str(error))}", "start Redis or `tailrace up`, or name another with --redis")


def _at(server: Redis, finding: Finding) -> Finding:
    """Say which of several servers a finding is about."""
    where = server.connection_pool.connection_kwargs
    return finding._replace(what=f"{where['host']}:{where['port']}: {finding.what}")


async def _server(redis: Redis, keys: Keys) -> list[Finding]:
    info = await redis.info()
    before = time.time()
    seconds, microseconds = await redis.time()
    skew_s = (before + time.time()) / 2 - seconds - microseconds / 1e6
    findings = [*judge_server(info), *judge_limits(await _config(redis)), judge_clock(skew_s)]
    if info.get("role", "master") == "master":
        findings += await rehearse(redis, log_commands(keys))
    return findings


async def _config(redis: Redis) -> dict[str, str]:
    """Read some of Redis' configuration; nothing where a provider forbids it."""
    try:
        return {name: value for asked in _CONFIG for name, value in (await redis.config_get(asked)).items()}
    except ResponseError:
        return {}


async def _queue(redis: Redis, keys: Keys) -> Iterator[Finding]:
    queues = [keys.queue(partition) for partition in range(MAX_PARTITIONS)]
    async with redis.pipeline(transaction=False) as pipe:
        for queue in (*queues, keys.calls()):
            pipe.zcard(queue)
        pipe.xlen(keys.dead())
        counted = dict(zip((*queues, keys.calls(), keys.dead()), await pipe.execute(raise_on_error=False), strict=True))
        overwritten = [key for key, count in counted.items() if isinstance(count, ResponseError)]
        *waiting, dead = [0 if key in overwritten else count for key, count in counted.items()]
        for partition in range(MAX_PARTITIONS):
            pipe.exists(keys.lease(partition))
        held = await pipe.execute()
    return judge_queue(
        foreign=await redis.exists(*[f"{queue}:health-check" for queue in queues]),  # arq's own sign of life
        workers=await redis.zcount(keys.workers(), (await redis.time())[0] - _ALIVE_S, "+inf"),
        waiting=sum(waiting),
        unserved=[queue for queue, jobs, worker in zip(queues, waiting, held, strict=False) if jobs and not worker],
        dead=dead,
        overwritten=overwritten,
    )


def _look_through(url: str, target: Target) -> Iterator[Finding]:
    try:
        return judge_proxy(probe(url, target))
    except (OSError, http.client.HTTPException, zlib.error) as error:
        return iter([Finding(Verdict.WRONG, f"{redact(url)}: {error}", "see that the URL is right and that an edge runs behind it")])


COMMAND = Command("Look for what is wrong with Redis, this machine or a proxy, and say what to change.", _configure, _run, _EPILOG)
