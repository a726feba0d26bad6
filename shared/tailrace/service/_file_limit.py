"""The limit on open files, which bounds a service's connections."""

import resource

_RESERVED, _RESERVED_SHARE = 96, 20
"""Descriptors reserved for Redis, the log, listeners and the loop: at least 96, and one in 20."""


def raise_file_limit() -> None:
    """Raise the soft limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_sockets() -> int:
    """Return the most client sockets that leave enough descriptors for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft // 2, soft - max(_RESERVED, soft // _RESERVED_SHARE))
