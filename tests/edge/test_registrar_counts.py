from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

from tailrace.edge.registry._registrar import MOST_LEFT, Presence, Roster
from tailrace.wire import ALL, ClientEntry, client_channel, registered_name

clients = st.sampled_from(["x", "y", "z"])
presences = st.builds(Presence, st.integers(1, 3), st.sets(st.sampled_from("abc"), min_size=1).map(lambda s: tuple(sorted(s))))


@given(st.lists(st.tuples(clients, presences, st.integers(0, 3))))
def test_what_is_told_adds_up(steps: list[tuple[str, Presence, int]]) -> None:
    roster, here = Roster(), list[tuple[str, Presence]]()
    since: dict[str, int] = {}
    told: dict[str, ClientEntry] = {}
    counts: dict[str, int] = {}
    for client, presence, action in steps:
        if action == 0 and here:
            left = here.pop(0)
            roster.leave(*left)
            if left[0] not in {name for name, _ in here}:
                del since[left[0]]
        elif action == 1:
            roster.again(roster.changes())
        else:
            here.append((client, presence))
            roster.join(client, presence)
            since[client] = min(since.get(client, presence.since), presence.since)
        if action == 3:
            _tell(roster, told, counts)
    _tell(roster, told, counts)
    assert {client: _unordered(entry) for client, entry in told.items()} == {
        client: (since[client], *_joined([p for name, p in here if name == client])) for client in {name for name, _ in here}
    }
    channels = {channel for _, presence in here for channel in presence.channels}
    assert roster.counts == counts
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


def _unordered(entry: ClientEntry) -> tuple[int, set[str], int]:
    return entry.since, set(entry.channels), entry.connections


def _joined(presences: list[Presence]) -> tuple[set[str], int]:
    return {channel for presence in presences for channel in presence.channels}, len(presences)


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


class CountedNames(tuple[str, ...]):  # noqa: SLOT001  # it counts
    """Counts how often somebody looks through it."""

    looks = 0

    def __iter__(self) -> Iterator[str]:
        self.looks += 1
        return super().__iter__()


def test_a_connection_costs_the_same_however_many_share_its_id() -> None:
    roster = Roster()
    presences = [Presence(number, CountedNames((f"room:{number % 50}", ALL))) for number in range(500)]
    for presence in presences:
        roster.join("x", presence)
        roster.changes()
    for presence in presences:
        roster.leave("x", presence)
        roster.changes()
    names = [presence.channels for presence in presences]
    assert {each.looks for each in names if isinstance(each, CountedNames)} <= {1, 2, 3}
    assert (roster.clients, roster.counts, roster.bytes) == ({}, {}, 0)


def test_long_names_are_registered_as_hashes() -> None:
    roster, long = Roster(), "x" * 128
    roster.join("x", Presence(1, (long, "y" * 20)))
    assert roster.counts == {registered_name(long): 1, "y" * 20: 1}


def _crowd(roster: Roster, size: int, names: int = 100) -> list[tuple[str, Presence]]:
    joined = [(f"{n}", Presence(n, (*[f"{n}-{i}" for i in range(names)], ALL, client_channel(f"{n}")))) for n in range(size)]
    for each in joined:
        roster.join(*each)
    return joined


def test_channels_that_do_not_fit_are_left_out_and_each_client_is_registered() -> None:
    roster = Roster(most_bytes=50_000)
    joined = _crowd(roster, 100)
    changes = roster.changes()
    listed = [client for client, entry in changes.clients.items() if entry and entry.listed]
    assert 0 < len(listed) == 100 - roster.unlisted < 20
    assert changes.clients["99"] == ClientEntry(99, [ALL, "client:99"], listed=False)
    assert changes.counts[ALL] == 100
    assert all(changes.counts[client_channel(client)] == 1 for client, _ in joined)
    assert len(changes.counts) == 101 + 100 * len(listed)
    for each in joined:
        roster.leave(*each)
    assert (roster.clients, roster.counts, roster.bytes, roster.unlisted) == ({}, {}, 0, 0)


def test_clients_are_listed_once_there_is_room() -> None:
    roster = Roster(most_bytes=50_000)
    joined = _crowd(roster, 20)
    for each in joined[:10]:
        roster.leave(*each)
    roster.changes()
    waiting = roster.unlisted
    roster.tidy()
    changes = roster.changes()
    assert 0 < len(changes.clients) == waiting - roster.unlisted
    assert all(entry and entry.listed and len(entry.channels) == 102 for entry in changes.clients.values())
    assert roster.bytes <= 50_000


def test_the_clients_with_the_most_channels_make_room_when_there_is_less() -> None:
    roster = Roster()
    joined = [*_crowd(roster, 20), *[("few", Presence(1, ("room:1", ALL, "client:few")))]]
    roster.join(*joined[-1])
    roster.changes()
    roster.allow(roster.bytes, share=40_000, room=None)
    roster.tidy()
    changes = roster.changes()
    assert roster.bytes <= 40_000
    assert 0 < roster.unlisted < 20
    assert all(entry == ClientEntry(int(name), [ALL, f"client:{name}"], listed=False) for name, entry in changes.clients.items())
    assert roster.counts["room:1"] == 1
    for each in joined:
        roster.leave(*each)
    assert (roster.clients, roster.counts, roster.bytes) == ({}, {}, 0)


@pytest.mark.parametrize(("room", "listed"), [(0, 0), (20_000, 3)])
def test_no_more_is_registered_than_there_is_room_for_now(room: int, listed: int) -> None:
    roster = Roster()
    roster.allow(0, share=10**9, room=room)
    _crowd(roster, 30)
    assert roster.unlisted == 30 - listed
    roster.allow(roster.bytes, share=10**9, room=10**9)
    roster.tidy()
    assert roster.unlisted == 0


def test_connections_with_one_id_cannot_list_more_channels_than_is_bounded() -> None:
    roster = Roster(most_names=50)
    joined = [("x", Presence(1, (*[f"{n}-{i}" for i in range(20)], ALL, "client:x"))) for n in range(5)]
    for each in joined:
        roster.join(*each)
    assert roster.changes().clients == {"x": ClientEntry(1, [ALL, "client:x"], 5, listed=False)}
    assert roster.counts == {ALL: 1, "client:x": 1}
    for each in joined:
        roster.leave(*each)
    assert (roster.clients, roster.counts, roster.bytes) == ({}, {}, 0)
