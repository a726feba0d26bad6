"""The trials of delivery."""

from tests.prove import delivery_kills, histories, protections, stalls, steady, storms

TRIALS = (
    delivery_kills.TRIAL,
    *storms.TRIALS,
    stalls.TRIAL,
    steady.TRIAL,
    histories.TRIAL,
    *protections.TRIALS,
)
