"""How many streams the limit of open files leaves room for."""

import resource

from tailrace.service import most_sockets

_SHARE = 0.9
_ANSWERED = 16
"""Sockets beside the streams, so that those that are put off, and health checks, can be answered."""


def most_connections() -> int:
    """Return how many streams leave room for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(min(int(soft * _SHARE), most_sockets() - _ANSWERED), 1)
