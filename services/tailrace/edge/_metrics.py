"""What an edge counts, and how Prometheus reads it (text format 0.0.4)."""

from collections.abc import Iterable

from tailrace.edge.window._tail import Tail


class Meter:
    """Counters since the start."""

    def __init__(self) -> None:
        self.accepted = self.refused = self.resumed = 0
        self.events = self.deliveries = self.foreign = 0
        self.fell_behind = self.cut = self.gaps = self.resets = 0
        self.away = 0
        self.shared = 0
        """Client ids that several streams have, now."""
        self.unlisted = 0
        """Clients whose channels the registry has no room for, now."""


def render(meter: Meter, connections: int, behind: int, tails: Iterable[Tail]) -> str:
    """Write all figures."""
    tails = list(tails)
    rows = [
        ("connections", "gauge", "Open streams.", connections),
        ("behind", "gauge", "Open streams that are catching up.", behind),
        ("shared_clients", "gauge", "Client ids that several streams have.", meter.shared),
        ("unlisted", "gauge", "Clients whose channels the registry has no room for.", meter.unlisted),
        ("accepted_total", "counter", "Streams that began.", meter.accepted),
        ("resumed_total", "counter", "Streams that began with a cursor.", meter.resumed),
        ("refused_total", "counter", "Streams put off until later.", meter.refused),
        ("events_total", "counter", "Events read from the logs.", meter.events),
        ("deliveries_total", "counter", "Batches of events written to a stream.", meter.deliveries),
        ("foreign_entries_total", "counter", "Entries of the logs that aren't tailrace's.", meter.foreign),
        ("fell_behind_total", "counter", "Live streams whose socket was full.", meter.fell_behind),
        ("cut_total", "counter", "Streams cut for want of progress.", meter.cut),
        ("gaps_total", "counter", "Gaps said.", meter.gaps),
        ("resets_total", "counter", "Resets said.", meter.resets),
        ("redis_away_total", "counter", "Times that Redis was lost.", meter.away),
    ]
    lines = [
        line
        for name, kind, text, value in rows
        for line in (
            f"# HELP tailrace_edge_{name} {text}",
            f"# TYPE tailrace_edge_{name} {kind}",
            f"tailrace_edge_{name} {value}",
        )
    ]
    return "\n".join([*lines, *_per_shard(tails), ""])


def _per_shard(tails: list[Tail]) -> list[str]:
    rows: list[tuple[str, str, list[float]]] = [
        ("ring_entries", "Entries in the ring.", [len(tail.ring) for tail in tails]),
        ("ring_bytes", "Bytes in the ring, about.", [tail.ring.bytes for tail in tails]),
        ("position_seconds", "Time of the last entry that was read.", [(tail.position >> 64) / 1000 for tail in tails]),
        ("lag_seconds", "How much older it is than the log's last one, at the last look.", [tail.lag_s for tail in tails]),
    ]
    return [
        line
        for name, text, values in rows
        for line in (
            f"# HELP tailrace_edge_{name} {text}",
            f"# TYPE tailrace_edge_{name} gauge",
            *[f'tailrace_edge_{name}{{shard="{shard}"}} {value}' for shard, value in enumerate(values)],
        )
    ]
