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
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8001
    redis: Annotated[str, Meta(description="URL of Redis or Valkey.")] = "redis://127.0.0.1:6379/0"
    queue_redis: Annotated[str, Meta(description="URL of the queue's Redis, if it is another.")] = ""
    prefix: Annotated[str, Meta(min_length=1, description="Begins every key in Redis.")] = "tailrace"
    partitions: Annotated[int, Meta(ge=1, le=MAX_PARTITIONS, description="Partitions of the queue, the same as the workers'.")] = 1
    push_token: Annotated[str, Meta(description="Bearer token that every request needs, printable ASCII without spaces; empty: none.")] = ""
    origins: Annotated[tuple[str, ...], Meta(description="Origins whose pages may push (https://example.org), or *.")] = ()
    hosts: Annotated[tuple[str, ...], Meta(description="Host names to answer to, besides loopback's, on loopback without a token.")] = ()
    allow_anonymous_push: Annotated[bool, Meta(description="Start without a token although other machines can reach ingest.")] = False
    published_on: Annotated[
        str, Meta(description="Address that a container engine or proxy publishes ingest on, if that isn't `host`.")
    ] = ""
    wait_s: Annotated[float, Meta(ge=0, le=60, description="Seconds to wait for a receipt, unless `Prefer` says.")] = 5
    max_wait_s: Annotated[float, Meta(ge=0, le=600, description="The most seconds that `Prefer` can ask for.")] = 60
    max_waiting: Annotated[int, Meta(ge=0, description="Requests that wait for receipts; more are answered 202 at once.")] = 10_000
    max_bytes: Annotated[int, Meta(ge=1 << 24, description="Bytes of request bodies held at once; more is answered 429.")] = 256 << 20
    max_queue: Annotated[int, Meta(ge=0, description="Jobs that may stand in one queue; more are answered 503; 0 is no limit.")] = 1_000_000
    receipt_s: Annotated[float, Meta(ge=1, description="Seconds that a cancelled job's receipt is kept; the same as the workers'.")] = 3600
    body_s: Annotated[float, Meta(gt=0, le=3600, description="Seconds that a request's body may take to come, before 408.")] = 60
    enqueue_s: Annotated[float, Meta(gt=0, le=60, description="Seconds to try while Redis is away, before 503.")] = 5
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="What is logged: this level and above.")] = "info"

    def __post_init__(self) -> None:
        """Refuse origins that never match, and a token that no header can carry. Raises ValueError, which doesn't show the token."""
        check_origins(self.origins)
        if not _TOKEN.fullmatch(self.push_token):
            raise ValueError("--push-token (TAILRACE_PUSH_TOKEN): a bearer token has printable ASCII characters only, and no spaces")

    @property
    def queue_url(self) -> str:
        """URL of the Redis that the jobs go to."""
        return self.queue_redis or self.redis
