"""All trials, in the order in which docs/reliability.md shows them."""

from tests.prove import histories

TRIALS = (histories.TRIAL,)
