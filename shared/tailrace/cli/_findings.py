"""What `tailrace doctor` thinks of what it sees: values in, findings out, no I/O."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from tailrace.redis import OLDEST_REDIS, OLDEST_VALKEY

_FULL = 0.75  # of maxmemory: from here on ingest refuses
_SKEW_S = 0.5
_BAD_SKEW_S = 5.0
_FILES = 65_536
_CLIENTS = 1_000
_SLOW_S = 2.0
_UNBUFFER = (
    "turn buffering and compression off there for this path (nginx: proxy_buffering off; Apache: flushpackets=on; Caddy: flush_interval -1)"
)
NO_ANSWER = 0
"""Stands for the status where a connection was taken and nothing came back."""


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(NamedTuple):
    verdict: Verdict
    what: str
    cure: str = ""
    """What to change."""


class Proxied(NamedTuple):
    """What came back from an edge's URL."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    connect_s: float | None = None
    """Until the first event; None: it did not come in time."""
    sent: bool = False
    """Whether another event was appended for this stream; only the edge's own Redis can tell."""
    event_s: float | None = None
    """Until that event; None: it did not come in time."""


def judge_server(info: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge what INFO answers."""
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    oldest = OLDEST_VALKEY if name == "Valkey" else OLDEST_REDIS
    if tuple([int(part) for part in version.split(".")[:2]]) < oldest:
        yield Finding(Verdict.WRONG, f"{name} {version} is too old", f"install {name} {'.'.join(map(str, oldest))} or later")
    else:
        yield Finding(Verdict.OK, f"{name} {version}")
    if info.get("role", "master") != "master":
        yield Finding(Verdict.WRONG, "this server is a replica, which takes no events", "name the primary in --redis")
    yield from _judge_memory(info)
    yield _judge_persistence(info)


def _judge_memory(info: Mapping[str, Any]) -> Iterator[Finding]:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        yield Finding(Verdict.OK, "nothing is evicted (maxmemory-policy noeviction)")
    else:
        yield Finding(
            Verdict.WRONG, f"maxmemory-policy is {policy}, which deletes events silently", "CONFIG SET maxmemory-policy noeviction"
        )
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if not limit:
        yield Finding(
            Verdict.WARNING,
            "maxmemory is 0: Redis grows until the kernel kills it, and ingest can't refuse in time",
            "CONFIG SET maxmemory to about 60 % of the machine's memory",
        )
    elif used > _FULL * limit:
        yield Finding(Verdict.WRONG, f"{used / limit:.0%} of maxmemory is used; from {_FULL:.0%} on ingest refuses", "raise maxmemory")
    else:
        yield Finding(Verdict.OK, f"{used / limit:.0%} of maxmemory is used")


def _judge_persistence(info: Mapping[str, Any]) -> Finding:
    if not int(info.get("aof_enabled", 0)):
        return Finding(
            Verdict.WARNING,
            "the append-only file is off: a crash of Redis loses what came since the last snapshot",
            "CONFIG SET appendonly yes (and appendfsync everysec)",
        )
    if "ok" not in (status := str(info.get("aof_last_write_status", "ok"))):
        return Finding(Verdict.WRONG, f"writing the append-only file failed ({status})", "look at Redis' log and at the disk")
    return Finding(Verdict.OK, "the append-only file is written")


def judge_limits(config: Mapping[str, str]) -> Iterator[Finding]:
    """Judge what CONFIG GET answers."""
    if int(config.get("timeout", 0)):
        yield Finding(Verdict.WARNING, f"Redis cuts connections idle for {config['timeout']} s", "CONFIG SET timeout 0")
    if int(config.get("maxclients", _CLIENTS)) < _CLIENTS:
        yield Finding(Verdict.WARNING, f"Redis takes {config['maxclients']} connections only", f"CONFIG SET maxclients {_CLIENTS * 10}")
    if config.get("cluster-require-full-coverage") == "yes" and config.get("cluster-enabled") == "yes":
        cure = "CONFIG SET cluster-require-full-coverage no"
        yield Finding(Verdict.WARNING, "when one primary of this Cluster is away, all others refuse", cure)


def judge_clock(skew_s: float) -> Finding:
    """Judge by how much this machine's clock is ahead of Redis'."""
    what = f"this clock and Redis' are {abs(skew_s):.3f} s apart"
    if abs(skew_s) < _SKEW_S:
        return Finding(Verdict.OK, what)
    cure = "let both machines keep time by NTP (chrony, systemd-timesyncd)"
    return Finding(Verdict.WARNING if abs(skew_s) < _BAD_SKEW_S else Verdict.WRONG, what, cure)


def judge_files(hard: int) -> Finding:
    """Judge the hard limit of open files, which is what an edge raises its own to."""
    if 0 <= hard < _FILES:
        cure = "raise it: LimitNOFILE= in systemd, --ulimit nofile= in Docker, /etc/security/limits.conf"
        return Finding(Verdict.WARNING, f"a process may open {hard} files, so an edge started here takes {hard * 9 // 10} clients", cure)
    return Finding(Verdict.OK, f"a process may open {hard if hard >= 0 else 'any number of'} files")


def judge_queue(  # noqa: PLR0913 - what is seen of the queues, one name each
    *, foreign: int, workers: int, waiting: int, unserved: Sequence[str], dead: int, overwritten: Sequence[str] = ()
) -> Iterator[Finding]:
    """Judge who serves the queues, and what waits in them.

    `unserved` have jobs, but no worker holds them; `overwritten` are keys of another type than tailrace's.
    """
    for key in overwritten:
        yield Finding(Verdict.WRONG, f"another program has overwritten {key}: what belongs there waits", f"RENAME {key} {key}:foreign")
    if foreign:
        yield Finding(
            Verdict.WRONG,
            "a stock arq worker serves tailrace's queue; it fails, and so deletes, the pushes that it takes",
            "give that worker a queue_name of its own",
        )
    if not workers:
        yield Finding(Verdict.WARNING, f"no worker runs ({waiting} jobs wait)", "tailrace worker")
    else:
        yield Finding(Verdict.OK, f"workers: {workers}; jobs that wait: {waiting}")
        for queue in unserved:
            yield Finding(
                Verdict.WARNING, f"jobs wait in {queue}, which no worker holds", "give all workers and producers the same --partitions"
            )
    if dead:
        yield Finding(Verdict.WARNING, f"dead letters: {dead}", "tailrace dead list")


def judge_proxy(seen: Proxied) -> Iterator[Finding]:
    """Judge whether a stream comes through as it is sent."""
    if seen.status == NO_ANSWER:
        yield Finding(Verdict.WRONG, "something on the way holds events back: not even the answer's head came", _UNBUFFER)
        return
    kind = seen.headers.get("content-type", "none")
    if seen.status != 200 or not kind.startswith("text/event-stream"):
        yield Finding(Verdict.WRONG, f"the answer is {seen.status} with content-type {kind}, not an event stream", "name the URL of /sse")
        return
    if encoding := seen.headers.get("content-encoding"):
        cure = "leave text/event-stream out of compression (nginx: gzip_types; Caddy: encode with a matcher)"
        yield Finding(Verdict.WARNING, f"something on the way compresses the stream ({encoding}), and may hold events back", cure)
    late = seen.event_s if seen.sent else seen.connect_s
    if late is None or late > _SLOW_S:
        when = "did not come" if late is None else f"came after {late:.1f} s"
        yield Finding(
            Verdict.WRONG, f"something on the way holds events back: {'one sent' if seen.sent else 'the first'} {when}", _UNBUFFER
        )
    elif seen.sent:
        yield Finding(Verdict.OK, f"events come through at once (one sent came after {late * 1000:.0f} ms)")
    else:
        cure = "name this edge's Redis with --redis, and an event is sent too"
        yield Finding(
            Verdict.WARNING, f"the first event came after {late * 1000:.0f} ms; whether later ones are held back isn't known", cure
        )
