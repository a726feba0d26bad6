"""All trials, in the order in which docs/reliability.md shows them."""

from tests.prove import delivery_kills, histories, ingest_kills, ingest_matrix

TRIALS = (
    delivery_kills.TRIAL,
    *ingest_matrix.TRIALS,
    *ingest_kills.TRIALS,
    histories.TRIAL,
)
