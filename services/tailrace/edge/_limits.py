"""How many connections the limit of open files leaves room for."""

import resource

_SHARE = 0.9


def most_connections() -> int:
    """Return how many connections leave room for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return int(soft * _SHARE)
