"""All trials, in the order in which docs/internals/reliability.md shows them."""

from tests.prove import (
    delivery,
    fuzz,
    hostile_clients,
    ingest_backlog,
    ingest_due,
    ingest_full,
    ingest_hostile,
    ingest_kills,
    ingest_matrix,
)

TRIALS = (
    *delivery.TRIALS,
    *ingest_matrix.TRIALS,
    *ingest_kills.TRIALS,
    *ingest_hostile.TRIALS,
    *ingest_full.TRIALS,
    *hostile_clients.TRIALS,
    *ingest_backlog.TRIALS,
    *ingest_due.TRIALS,
    *fuzz.TRIALS,
)
