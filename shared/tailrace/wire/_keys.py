"""Every key in Redis that tailrace writes, and what each holds."""

import msgspec

from tailrace.wire._errors import SetupError

JOB_PREFIX = "arq:job:"
"""arq's own: the payload of a job."""
DEFAULT_PREFIX = "tailrace"
_NOT_IN_PREFIX = frozenset(" /{}")
"""Braces would move a shard's hash tag; a slash ends the prefix of a stored id."""


class Keys(msgspec.Struct, frozen=True):
    """Names all keys. A shard's hash tag is its number, so that one shard lives in one slot of a cluster."""

    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        if not self.prefix.isprintable() or not self.prefix or set(self.prefix) & _NOT_IN_PREFIX:
            raise SetupError(f"invalid prefix {self.prefix!r}: expected printable characters without spaces, '/', '{{' and '}}'")

    def stored_id(self, job: str) -> str:
        """Return the id under which tailrace stores a job of its own.

        arq's keys of a job have no prefix. So under any prefix but the default one the id carries it (`<prefix>/<id>`),
        and two systems on one Redis never share a job. An id that carries the prefix already stays as it is.
        """
        return job if self.prefix == DEFAULT_PREFIX or job.startswith(f"{self.prefix}/") else f"{self.prefix}/{job}"

    def public_id(self, stored: str) -> str:
        """Return the id that users see for a stored one: without the prefix."""
        return stored if self.prefix == DEFAULT_PREFIX else stored.removeprefix(f"{self.prefix}/")

    def shard(self, shard: int) -> str:
        """Begin every key of a shard."""
        return f"{self.prefix}:{{{shard}}}:"

    def log(self, shard: int) -> str:
        """Stream: the events of a shard, in order. No TTL."""
        return self.shard(shard) + "log"

    def generations(self, shard: int) -> str:
        """Hash: the shard's generations, its newest label and last id. No TTL."""
        return self.shard(shard) + "gen"

    def commits(self, shard: int, partition: int) -> str:
        """Hash: what a shard knows of a partition's line: epoch, its holder, number, outcomes. No TTL."""
        return f"{self.shard(shard)}line:{partition}"

    def history(self, shard: int, channel: str) -> str:
        """Stream: a channel's newest events, under the same ids as in the log."""
        return f"{self.shard(shard)}history:{channel}"

    def last(self, shard: int, channel: str) -> str:
        """String: the id of a channel's last entry."""
        return f"{self.shard(shard)}last:{channel}"

    def revocations(self, shard: int) -> str:
        """Hash: the shard's revocations that still concern somebody (`r:<id>`), and the latest `before` that was given out."""
        return self.shard(shard) + "revocations"

    def revocation_ends(self, shard: int) -> str:
        """Sorted set: the ids of the shard's revocations, by when each may be forgotten, in Unix milliseconds."""
        return self.shard(shard) + "revocations:ends"

    def layout(self) -> str:
        """String: the number of shards. No TTL."""
        return f"{self.prefix}:layout"

    def edges(self) -> str:
        """Sorted set: the edges, by when their lease ends. Shard 0's, like the whole registry."""
        return self.shard(0) + "edges"

    def edge(self, edge: str) -> str:
        """Hash: an edge's clients and its counts per channel; lives as long as the edge's lease."""
        return f"{self.shard(0)}edge:{edge}"

    def shared(self, edge: str) -> str:
        """Hash: an edge's clients that other edges have, too, and how many of them count there, per channel; lives like the edge's own."""
        return f"{self.shard(0)}shared:{edge}"

    def away(self, client: str) -> str:
        """String: a client that left a moment ago; `*` is any client, while Redis has no room to tell them apart."""
        return f"{self.shard(0)}away:{client}"

    def queue(self, partition: int = 0) -> str:
        """Sorted set: ids of jobs that wait, by when they are due in Unix milliseconds. No TTL."""
        return f"{self.prefix}:queue" + (f":{partition}" if partition else "")

    def calls(self) -> str:
        """Sorted set: arq's queue of the application's own functions."""
        return f"{self.prefix}:calls"

    def calls_bell(self) -> str:
        """List: rung when a call was enqueued."""
        return f"{self.prefix}:bell:calls"

    def calls_time(self) -> str:
        """String: when a worker last asked for calls, and how much of the calls' own time had passed then."""
        return f"{self.prefix}:calls:time"

    def claimed(self, worker: str) -> str:
        """String: the calls that a worker claimed last."""
        return f"{self.prefix}:claimed:{worker}"

    def settled(self, worker: str) -> str:
        """String: the number of a worker's last settlement of calls, and what it was answered."""
        return f"{self.prefix}:settled:{worker}"

    def functions(self) -> str:
        """Sorted set: functions that workers have, by when one last said so."""
        return f"{self.prefix}:functions"

    def missed(self) -> str:
        """Sorted set: functions that were called and that no worker has, by when that was noticed."""
        return f"{self.prefix}:missed"

    def shelf(self, function: str) -> str:
        """Sorted set: calls that workers without their function left to others."""
        return f"{self.prefix}:shelf:{function}"

    def alone(self, function: str) -> str:
        """Sorted set: calls that may kill their worker, and so run with no other beside them."""
        return f"{self.prefix}:alone:{function}"

    def room(self, function: str) -> str:
        """String: the worker with a function that takes no more calls until it can run one of it alone."""
        return f"{self.prefix}:room:{function}"

    def tick(self, job: str) -> str:
        """String: a function that runs by itself was enqueued for this time."""
        return f"{self.prefix}:tick:{job}"

    def line(self, partition: int = 0) -> str:
        """Hash: a queue's epoch, its tickets and last score. No TTL."""
        return f"{self.prefix}:line:{partition}"

    def lease(self, partition: int = 0) -> str:
        """String: who holds a queue."""
        return f"{self.prefix}:lease:{partition}"

    def wanted(self) -> str:
        """String: the worker that holds the fewest queues, and how many these are."""
        return f"{self.prefix}:wanted"

    def free(self, partition: int = 0) -> str:
        """List: rung when a lease was given up, for who stands by."""
        return f"{self.prefix}:free:{partition}"

    def hand(self, partition: int = 0) -> str:
        """Hash: the jobs that were given out and haven't ended. No TTL."""
        return f"{self.prefix}:hand:{partition}"

    def bell(self, partition: int = 0) -> str:
        """List: rung when something was enqueued."""
        return f"{self.prefix}:bell:{partition}"

    def producer(self, producer: str, partition: int = 0) -> str:
        """String: the number of a producer's last enqueue."""
        return f"{self.prefix}:producer:{partition}:{producer}"

    def receipt(self, job: str) -> str:
        """String: what became of a job."""
        return f"{self.prefix}:receipt:{job}"

    def receipts(self, listener: str) -> str:
        """Pub/sub channel: a listener's receipts, as they are made."""
        return f"{self.prefix}:receipts:{listener}"

    def dead(self) -> str:
        """Stream: dead letters. No TTL, bounded."""
        return f"{self.prefix}:dead"

    def workers(self) -> str:
        """Sorted set: living workers, by when they last said so."""
        return f"{self.prefix}:workers"
