"""All trials, in the order in which docs/reliability.md shows them."""

from tests.prove import delivery_kills, histories, ingest_backlog, ingest_full, ingest_hostile, ingest_kills, ingest_matrix

TRIALS = (
    delivery_kills.TRIAL,
    *ingest_matrix.TRIALS,
    *ingest_kills.TRIALS,
    *ingest_hostile.TRIALS,
    *ingest_full.TRIALS,
    *ingest_backlog.TRIALS,
    histories.TRIAL,
)
