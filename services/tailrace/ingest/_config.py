"""Ingest's settings; each is a flag (`--max-queue`) and a variable (`TAILRACE_MAX_QUEUE`)."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tailrace.service import check_origins
from tailrace.wire import MAX_PARTITIONS

_TOKEN = re.compile(r"[!-~]*")


class IngestConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How ingest runs."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 chooses a free one.")] = 8001
    redis: Annotated[str, Meta(description="URL of Redis or Valkey.")] = "redis://127.0.0.1:6379/0"
    queue_redis: Annotated[str, Meta(description="URL of the queue's Redis, if it is a different one.")] = ""
    prefix: Annotated[str, Meta(min_length=1, description="Prefix of all keys in Redis.")] = "tailrace"
    partitions: Annotated[int, Meta(ge=1, le=MAX_PARTITIONS, description="Partitions of the queue; must equal the workers'.")] = 1
    push_token: Annotated[
        str, Meta(description="Bearer token required of every request, in printable ASCII without spaces; if empty, none is required.")
    ] = ""
    origins: Annotated[tuple[str, ...], Meta(description="Origins whose pages may push (https://example.org), or *.")] = ()
    hosts: Annotated[tuple[str, ...], Meta(description="Further host names to answer to when on loopback and without a token.")] = ()
    allow_anonymous_push: Annotated[bool, Meta(description="Start without a token although other machines can connect.")] = False
    published_on: Annotated[
        str, Meta(description="Address that a container engine or proxy publishes ingest on, if that isn't `host`.")
    ] = ""
    wait_s: Annotated[float, Meta(ge=0, le=60, description="Seconds to wait for a receipt, unless `Prefer` says otherwise.")] = 5
    max_wait_s: Annotated[float, Meta(ge=0, le=600, description="The most seconds that `Prefer` can ask for.")] = 60
    max_waiting: Annotated[int, Meta(ge=0, description="Most requests that wait for receipts; further ones are answered 202 at once.")] = (
        10_000
    )
    max_bytes: Annotated[int, Meta(ge=1 << 24, description="Most bytes of request bodies held at once; beyond that, 429.")] = 256 << 20
    max_queue: Annotated[int, Meta(ge=0, description="Most jobs in one queue; beyond that, 503; 0 is no limit.")] = 1_000_000
    receipt_s: Annotated[float, Meta(ge=1, description="Seconds that a cancelled job's receipt is kept; should equal the workers'.")] = 3600
    body_s: Annotated[float, Meta(gt=0, le=3600, description="Seconds a client has to send a request's body, before 408.")] = 60
    enqueue_s: Annotated[float, Meta(gt=0, le=60, description="Seconds to retry while Redis is unreachable, before 503.")] = 5
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Lowest level that is logged.")] = "info"

    def __post_init__(self) -> None:
        """Check the origins and the token. Raises ValueError, which doesn't contain the token."""
        check_origins(self.origins)
        if not _TOKEN.fullmatch(self.push_token):
            raise ValueError("--push-token (TAILRACE_PUSH_TOKEN): invalid token: expected printable ASCII characters without spaces")

    @property
    def queue_url(self) -> str:
        """URL of the Redis that the jobs go to."""
        return self.queue_redis or self.redis
