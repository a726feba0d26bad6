"""Error replies: a Redis that refuses isn't away, and each refusal has a remedy of its own."""

import re
from enum import StrEnum
from typing import NamedTuple

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ConnectionError as RedisConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from tailrace.redis._connection import lacks_files


class Remedy(StrEnum):
    """What ends a refusal."""

    WAIT = "wait"
    """Time: the same request may succeed a moment later."""
    FAILOVER = "failover"
    """Another server becomes the primary, or this one gets its replicas back."""
    SERVER = "server"
    """Somebody has to look after the server."""
    MEMORY = "memory"
    """The server needs memory."""
    ACCESS = "access"
    """The URL, the password or the permissions have to change."""
    UNKNOWN = "unknown"


class Refusal(NamedTuple):
    """What an error reply means."""

    code: str
    """Redis's code, such as `BUSY`; `ERR` where it gave none."""
    meaning: str
    """A clause for people, without any detail that only operators should see."""
    remedy: Remedy
    cure: str = ""
    """What an operator does about it."""
    in_script: bool = False
    """A command within a script was refused, so commands before it may have taken effect."""


_DATABASE, _CLIENTS = "NODB", "MAXCLIENTS"
_REFUSALS = {
    refusal.code: refusal
    for refusal in (
        Refusal("BUSY", "Redis is busy running a script", Remedy.WAIT, "wait for the script, or end it with SCRIPT KILL"),
        Refusal("LOADING", "Redis is loading its data", Remedy.WAIT, "wait until it has loaded them"),
        Refusal("CLUSTERDOWN", "the Redis Cluster is down", Remedy.WAIT, "see CLUSTER INFO, and start the nodes that are missing"),
        Refusal("MASTERDOWN", "this Redis is a replica without its primary", Remedy.WAIT, "name the primary in the URL"),
        Refusal("TRYAGAIN", "the Redis Cluster is moving these keys", Remedy.WAIT, "wait until they have moved"),
        Refusal(_CLIENTS, "Redis has as many clients as it takes", Remedy.WAIT, "raise maxclients in Redis"),
        Refusal("READONLY", "this Redis is a read-only replica", Remedy.FAILOVER, "name the primary in the URL"),
        Refusal("NOREPLICAS", "Redis takes no writes: it has too few replicas", Remedy.FAILOVER, "see min-replicas-to-write in Redis"),
        Refusal("MISCONF", "Redis takes no writes: it can't save to disk", Remedy.SERVER, "look at Redis's log and at its disk"),
        Refusal("OOM", "Redis is out of memory", Remedy.MEMORY, "raise maxmemory in Redis, or make room"),
        Refusal("NOPERM", "the Redis user lacks a permission", Remedy.ACCESS, "grant it with ACL SETUSER, or name another user in the URL"),
        Refusal("WRONGPASS", "Redis rejects the user name or the password", Remedy.ACCESS, "correct the user and the password in the URL"),
        Refusal("NOAUTH", "Redis requires a password", Remedy.ACCESS, "put a password into the URL (redis://:password@host)"),
        Refusal("DENIED", "Redis is in protected mode", Remedy.ACCESS, "give Redis a password, or connect over loopback"),
        Refusal(_DATABASE, "the Redis database doesn't exist", Remedy.ACCESS, "correct the number that ends the URL, or raise databases"),
    )
}
_CLASSES = {
    AuthorizationError: "NOPERM",
    AuthenticationError: "WRONGPASS",
    BusyLoadingError: "LOADING",
    NoPermissionError: "NOPERM",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
}
_CODE = re.compile(r"([A-Z]{2,})\b")
# redis-py takes some codes out of the text, and Redis gives some errors no code.
_TEXTS = (
    (re.compile(r"authentication required", re.IGNORECASE), "NOAUTH"),
    (re.compile(r"\bmax(?:imum)? number of clients", re.IGNORECASE), _CLIENTS),
    (re.compile(r"\bDB index\b", re.IGNORECASE), _DATABASE),
    (re.compile(r"ACL failure|has no permissions|can't run this command", re.IGNORECASE), "NOPERM"),
)
_IN_SCRIPT = re.compile(r" script: (?:[0-9a-f]{40}, )?on @")  # Valkey names no hash


def refusal(error: BaseException) -> Refusal | None:
    """Return what Redis refuses, or None if an error is no reply of Redis's.

    redis-py makes some replies a ConnectionError (a wrong password, a server that is loading, too many clients), and wraps in one what a
    Sentinel or a node of a Cluster replied.
    """
    if type(error) is RedisConnectionError and isinstance(error.__cause__, RedisError):
        return refusal(error.__cause__)
    text = str(error)
    if not isinstance(error, ResponseError | AuthenticationError | AuthorizationError | BusyLoadingError):
        return _REFUSALS[_CLIENTS] if isinstance(error, RedisConnectionError) and _TEXTS[1][0].match(text) else None
    found = _REFUSALS.get(code := _code(error, text)) or Refusal(code, "Redis refuses a command", Remedy.UNKNOWN)
    return found._replace(in_script=bool(_IN_SCRIPT.search(text)))


def trouble(error: BaseException, name: str = "Redis") -> str:
    """Say what is the matter with a Redis: what it refuses, with its own words, that it is away, or that this process can't connect."""
    text = str(error) or type(error).__name__
    if lacks_files(error):
        return text
    refused = refusal(error)
    if refused is None:
        return f"{name} is away ({text})"
    return f"{refused.meaning} ({text})" if name == "Redis" else f"{name}: {refused.meaning} ({text})"


def _code(error: BaseException, text: str) -> str:
    for pattern, code in _TEXTS:
        if pattern.search(text):
            return code
    if (match := _CODE.match(text)) and match[1] in _REFUSALS:
        return match[1]
    for kind, code in _CLASSES.items():
        if isinstance(error, kind):
            return code
    return match[1] if match else "ERR"
