"""What an edge can be told."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tailrace.service import check_origins

HIGHEST_PORT = 65_535


class EdgeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of an edge; each is a flag and a variable of `tailrace edge` too."""

    redis: Annotated[str, Meta(description="URL of the Redis or Valkey that holds the logs.")] = "redis://127.0.0.1:6379/0"
    prefix: Annotated[str, Meta(description="Start of every key in Redis.", min_length=1)] = "tailrace"
    shards: Annotated[int, Meta(description="Number of logs; all processes need the same.", ge=1, le=8)] = 1
    path: Annotated[str, Meta(description="Path of the stream.", pattern="^/")] = "/sse"
    origins: Annotated[tuple[str, ...], Meta(description="Origins that browsers may read from (CORS); * is any, without cookies.")] = ()
    heartbeat_s: Annotated[float, Meta(description="Seconds between two heartbeats of a stream.", gt=0)] = 30
    retry_ms: Annotated[int, Meta(description="Milliseconds after which clients reconnect; jittered for each.", ge=10)] = 3000
    busy_retry_ms: Annotated[int, Meta(description="The same where the edge can't serve a stream now, in milliseconds.", ge=10)] = 10_000
    drain_s: Annotated[float, Meta(description="Seconds within which an ending edge closes its streams.", ge=0)] = 20
    max_connections: Annotated[
        int, Meta(description="Most streams of a process at once; 0 is 90 % of the limit of open files, less where that is low.", ge=0)
    ] = 0
    max_connections_per_address: Annotated[
        int, Meta(description="Most streams of a process at once from one address (of IPv6, a /64 network); 0 is no limit.", ge=0)
    ] = 0
    max_connections_per_client: Annotated[
        int, Meta(description="Most streams of a process at once with one client_id; 0 is no limit.", ge=0)
    ] = 100
    trusted_proxies: Annotated[
        tuple[str, ...], Meta(description="Addresses or networks of proxies whose X-Forwarded-For says whose a stream is.")
    ] = ()
    max_connection_age_s: Annotated[
        float, Meta(description="Seconds that a stream lasts at most, half of it at least; 0 is no limit.", ge=0)
    ] = 0
    max_channels: Annotated[int, Meta(description="Most channels that one stream may ask for.", ge=1)] = 100
    max_channel_bytes: Annotated[int, Meta(description="Most bytes of channel names that one stream may ask for.", ge=1)] = 16 << 10
    ring_entries: Annotated[int, Meta(description="Most entries of a log that are kept in memory.", ge=1)] = 20_000
    ring_bytes: Annotated[int, Meta(description="Most bytes of a log that are kept in memory.", ge=1)] = 64 << 20
    stall_s: Annotated[float, Meta(description="Seconds without progress after which a stream is cut, or a dead peer noticed.", gt=0)] = 15
    registry_lease_s: Annotated[float, Meta(description="Seconds after which a killed edge's clients leave the registry.", gt=0)] = 15
    registry_bytes: Annotated[
        int,
        Meta(description="Most bytes of Redis for the channels of a process's clients; beyond, clients are registered without them.", ge=0),
    ] = 64 << 20
    metrics_port: Annotated[
        int, Meta(description="Port of /metrics (Prometheus) of the first process; 0 is none.", ge=0, le=HIGHEST_PORT)
    ] = 0

    def __post_init__(self) -> None:
        """Refuse origins that never match. Raises ValueError."""
        check_origins(self.origins)


class CommandConfig(EdgeConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `tailrace edge` is told besides; an edge in an application of one's own listens and logs where that does."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(description="Port to listen on; 0 takes a free one.", ge=0, le=HIGHEST_PORT)] = 8000
    processes: Annotated[int, Meta(description="Processes that share the port, each an edge of its own; one a core.", ge=1, le=256)] = 1
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="What is logged: this level and above.")] = "info"
