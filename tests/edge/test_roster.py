from hypothesis import given, strategies as st

from tailrace.edge._roster import MOST_LEFT, Presence, Roster
from tailrace.wire import ClientEntry

clients = st.sampled_from(["x", "y", "z"])
presences = st.builds(Presence, st.integers(1, 3), st.sets(st.sampled_from("abc"), min_size=1).map(lambda s: tuple(sorted(s))))


@given(st.lists(st.tuples(clients, presences, st.integers(0, 3))))
def test_what_is_told_adds_up(steps: list[tuple[str, Presence, int]]) -> None:
    roster, here = Roster(), list[tuple[str, Presence]]()
    told: dict[str, ClientEntry] = {}
    counts: dict[str, int] = {}
    for client, presence, action in steps:
        if action == 0 and here:
            left = here.pop(0)
            roster.leave(*left)
        elif action == 1:
            roster.again(roster.changes())
        else:
            here.append((client, presence))
            roster.join(client, presence)
        if action == 3:
            _tell(roster, told, counts)
    _tell(roster, told, counts)
    assert told == {client: _entry([p for name, p in here if name == client]) for client in {name for name, _ in here}}
    channels = {channel for _, presence in here for channel in presence.channels}
    assert counts == {c: len({name for name, presence in here if c in presence.channels}) for c in channels}


def _tell(roster: Roster, told: dict[str, ClientEntry], counts: dict[str, int]) -> None:
    changes = roster.changes()
    if changes.whole:
        told.clear()
        counts.clear()
    told.update({client: entry for client, entry in changes.clients.items() if entry})
    for client in [client for client, entry in changes.clients.items() if not entry]:
        told.pop(client, None)
    counts.update(changes.counts)
    for channel in [channel for channel, count in counts.items() if not count]:
        del counts[channel]


def _entry(presences: list[Presence]) -> ClientEntry:
    channels = dict.fromkeys(channel for presence in presences for channel in presence.channels)
    return ClientEntry(min(presence.since for presence in presences), list(channels), len(presences))


def test_who_left_unseen_is_told_as_gone() -> None:
    roster, presence = Roster(), Presence(1, ("a",))
    roster.join("x", presence)
    roster.leave("x", presence)
    changes = roster.changes()
    assert (changes.clients, changes.counts, changes.whole) == ({"x": None}, {"a": 0}, True)


def test_who_left_is_told_until_redis_has_it() -> None:
    roster, presence = Roster(), Presence(1, ("a",))
    roster.join("x", presence)
    roster.changes()
    roster.leave("x", presence)
    for _ in range(2):
        roster.again(roster.changes())
    assert roster.changes().clients == {"x": None}
    assert roster.changes().clients == {}


def test_who_comes_back_before_redis_is_told_is_not_away() -> None:
    roster, presence = Roster(), Presence(1, ("a",))
    roster.join("x", presence)
    roster.leave("x", presence)
    untold = roster.changes()
    roster.join("x", presence)
    roster.again(untold)
    assert roster.changes().clients == {"x": ClientEntry(1, ["a"], 1)}


def test_of_those_who_left_no_more_are_remembered_than_is_bounded() -> None:
    roster, presence = Roster(), Presence(1, ("a",))
    for number in range(3):
        for client in range(MOST_LEFT):
            roster.join(f"{number}:{client}", presence)
            roster.leave(f"{number}:{client}", presence)
        roster.again(roster.changes())
    left = list(roster.changes().clients)
    assert (len(left), left[-1]) == (MOST_LEFT, f"2:{MOST_LEFT - 1}")
