"""Pushes, in order: the lease on a queue, and the pipeline that takes, commits and ends its jobs."""
