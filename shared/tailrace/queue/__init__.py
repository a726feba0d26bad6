"""The queue in Redis: its scripts and their clients, for producers, workers and whoever looks after dead letters."""

from tailrace.queue._claims import Again, Back, CallQueue, Claimed, Found, Room, Settlement
from tailrace.queue._dead_letters import DeadLetter, DeadLetters, Filter
from tailrace.queue._partition import (
    MAX_DEATHS,
    NEVER_MS,
    Answer,
    DeposedError,
    Ending,
    Grant,
    Queue,
    QueueLimits,
    Taken,
    TakenJob,
    printable,
)
from tailrace.queue._scripts import script
from tailrace.queue._status import Jobs

__all__ = [
    "MAX_DEATHS",
    "NEVER_MS",
    "Again",
    "Answer",
    "Back",
    "CallQueue",
    "Claimed",
    "DeadLetter",
    "DeadLetters",
    "DeposedError",
    "Ending",
    "Filter",
    "Found",
    "Grant",
    "Jobs",
    "Queue",
    "QueueLimits",
    "Room",
    "Settlement",
    "Taken",
    "TakenJob",
    "printable",
    "script",
]
