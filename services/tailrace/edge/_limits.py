"""The limit of open files, which bounds the connections."""

import resource

_SHARE = 0.9


def raise_file_limit() -> None:
    """Raise the soft limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections() -> int:
    """Return how many connections leave room for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return int(soft * _SHARE)
