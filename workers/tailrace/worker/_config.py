"""The worker's settings."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tailrace.events import DEFAULT_HISTORY
from tailrace.wire import MAX_PARTITIONS


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Each field is a flag of `tailrace worker` (`--drain-s`) and a variable (`TAILRACE_DRAIN_S`)."""

    redis: Annotated[str, Meta(description="URL of the logs' Redis.")] = "redis://127.0.0.1:6379/0"
    queue_redis: Annotated[str, Meta(description="URL of the queue's Redis, if it differs.")] = ""
    prefix: Annotated[str, Meta(description="Prefix of all keys.", min_length=1)] = "tailrace"
    shards: Annotated[int, Meta(description="Number of logs; must be the same in all processes.", ge=1, le=8)] = 1
    partitions: Annotated[int, Meta(description="Number of queues; must be the same in all processes.", ge=1, le=MAX_PARTITIONS)] = 1
    functions: Annotated[tuple[str, ...], Meta(description="A module with functions, or arq's WorkerSettings; may be repeated.")] = ()
    burst: Annotated[bool, Meta(description="Exit when the queues are empty.")] = False

    history: Annotated[str, Meta(description="What histories keep: PATTERN=ENTRIES/BYTES/SECONDS, with spaces between; first match.")] = (
        DEFAULT_HISTORY
    )
    log_age_s: Annotated[float, Meta(description="Seconds that a log keeps its events.", ge=1)] = 600.0
    log_bytes: Annotated[int, Meta(description="The most bytes that a log keeps.", ge=1 << 16)] = 256 << 20
    min_replicas: Annotated[int, Meta(description="Replicas that must have an event before its job ends.", ge=0)] = 0
    dedupe_s: Annotated[float, Meta(description="Seconds that a push's key is remembered.", ge=1)] = 3600.0
    receipt_s: Annotated[float, Meta(description="Seconds that a receipt is kept.", ge=1)] = 3600.0
    dead_letters: Annotated[int, Meta(description="The most dead letters kept, about.", ge=1)] = 10_000
    dead_bytes: Annotated[int, Meta(description="The most bytes of dead letters kept, about.", ge=1)] = 64 << 20

    batch_jobs: Annotated[int, Meta(description="The most jobs taken from a queue at once.", ge=1, le=512)] = 128
    batch_bytes: Annotated[int, Meta(description="The most bytes of jobs taken at once.", ge=1)] = 1 << 20
    window: Annotated[int, Meta(description="Batches in flight, counted from the oldest unfinished.", ge=1)] = 4
    poll_ms: Annotated[float, Meta(description="Milliseconds between polls for jobs that rang no bell.", ge=1)] = 20.0
    lease_s: Annotated[float, Meta(description="Seconds after which a dead worker's queue is taken over.", ge=0.5)] = 2.0

    drain_s: Annotated[float, Meta(description="Seconds that a stopping worker gives its calls to end.", ge=0)] = 10.0
    max_calls: Annotated[int, Meta(description="The most calls that run at once.", ge=1)] = 10
    call_timeout_s: Annotated[float, Meta(description="Seconds that a call may take.", gt=0)] = 300.0
    call_tries: Annotated[int, Meta(description="Times that a call may fail before it is a dead letter.", ge=1)] = 5
    call_lease_s: Annotated[float, Meta(description="Seconds after which a dead worker's calls run again.", ge=0.5, le=60)] = 10.0
    calls_poll_ms: Annotated[float, Meta(description="Milliseconds between polls for calls that rang no bell.", ge=1)] = 20.0
    function_wait_s: Annotated[float, Meta(description="Seconds that a call waits for a worker with its function.", ge=0)] = 60.0
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Lowest level that is logged.")] = "info"
