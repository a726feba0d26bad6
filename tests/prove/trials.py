"""All trials, in the order in which docs/reliability.md shows them."""

from tests.prove import delivery_kills, histories

TRIALS = (delivery_kills.TRIAL, histories.TRIAL)
