"""The limit of open files, which bounds a service's connections."""

import resource

_RESERVED, _RESERVED_SHARE = 96, 20
"""Descriptors that clients can't take: for Redis, the log, listeners and the loop; at least so many, and one in so many."""


def raise_file_limit() -> None:
    """Raise the soft limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_sockets() -> int:
    """Return how many sockets of clients leave descriptors for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft // 2, soft - max(_RESERVED, soft // _RESERVED_SHARE))
