"""Random histories of the model, and the audit of what its clients saw."""

import math
from collections import defaultdict
from random import Random

from tailrace.edge.streams._resume import Move
from tests.edge.model import Client, Edge
from tests.edge.redis_model import CHANNELS, HISTORY_MS, SHARDS, SLACK_MS, STATE_MS, Shard

ACTIONS = 14
"""How many kinds of actions there are: append, read, step, connect, leave, crash, wait, trim, shorten, restart with a loss or without."""


class World:
    def __init__(self, seed: int) -> None:
        self.dice = dice = Random(seed)
        self.now = 100_000
        self.shards = [Shard(dice) for _ in range(SHARDS)]
        self.truth: dict[str, list[int]] = defaultdict(list)
        self.lost: set[int] = set()
        for channel in CHANNELS:
            self.append(channel)
        self.edges = [Edge(self.shards, dice) for _ in range(2)]
        self.clients = [Client(dice.choice(self.edges), [c for c in CHANNELS if dice.random() < 0.6]) for _ in range(3)]
        self.started = [{c: len(self.truth[c]) for c in client.channels} for client in self.clients]
        for _ in range(dice.randint(0, 20)):
            self.append(dice.choice(CHANNELS))
        for edge in self.edges:
            for number in range(SHARDS):
                edge.read(number)
        rewinds = [Client(dice.choice(self.edges), [c for c in CHANNELS if dice.random() < 0.6], dice.randint(1, 6)) for _ in range(2)]
        self.clients += rewinds
        self.started += [{c: self._start(client, c) for c in client.channels} for client in rewinds]

    def _start(self, client: Client, channel: str) -> int:
        """Return from where on a client is owed a channel's events."""
        number = CHANNELS.index(channel) % SHARDS
        owed = client.owed.get(channel, client.began[number] + 1)
        return sum(position < owed for position in self.truth[channel])

    def append(self, channel: str) -> None:
        self.now += self.dice.choice((0, 1, 50))
        self.truth[channel].append(self.shards[CHANNELS.index(channel) % SHARDS].append(channel, self.now).id)

    def act(self, action: int) -> None:
        dice = self.dice
        shard, edge, client = dice.choice(self.shards), dice.choice(self.edges), dice.choice(self.clients)
        match action:
            case 0 | 1 | 2:
                for _ in range(dice.randint(1, 6)):
                    self.append(dice.choice(CHANNELS))
            case 3 | 4:
                edge.read(dice.randrange(SHARDS))
            case 5 | 6:
                for _ in range(0 if client.away else dice.randint(1, 4)):
                    client.step(self.now)
            case 7:
                client.connect(dice.choice(self.edges))
            case 8 | 9 | 10:
                self.absence(edge, client, action)
            case _:
                self.trouble(shard, action)

    def absence(self, edge: Edge, client: Client, action: int) -> None:
        """Have a client leave, an edge crash (and start anew with what it finds), or time pass, and with it what is kept for a time."""
        if action == 8:
            client.leave()
        elif action == 9:
            for of_edge in list(edge.clients):
                of_edge.leave()
            self.edges[self.edges.index(edge)] = Edge(self.shards, self.dice)
        else:
            self.now += self.dice.choice((100, HISTORY_MS, STATE_MS, STATE_MS + 2 * SLACK_MS))
            for shard in self.shards:
                shard.expire(self.now)

    def trouble(self, shard: Shard, action: int) -> None:
        dice = self.dice
        if action == 11:
            kept = dice.randint(0, 6)
            shard.log = shard.log[-kept:] if kept else []
        elif action == 12:
            channel = dice.choice(list(shard.histories) or CHANNELS)
            shard.histories[channel] = shard.histories.get(channel, [])[-dice.randint(1, 3) :]
        else:
            before = list(shard.log)
            shard.restart(min(dice.choice((0, 0, 1, 3)), len(shard.log)))
            self.lost.update(entry.id for entry in before[len(shard.log) :])

    def settle(self) -> None:
        """Without more trouble all become live."""
        for edge in self.edges:
            for number, shard in enumerate(self.shards):
                edge.sync(number)
                while edge.tails[number].position != shard.top:
                    position = edge.tails[number].position
                    edge.read(number)
                    if edge.tails[number].position == position:
                        break
        for client in self.clients:
            if client.away:
                client.connect(self.edges[0])
            moves = [client.step(self.now) for _ in range(200)]
            if moves[-1] is not Move.LIVE:
                client.connect(client.edge)  # the edge would end a stream that waits in vain
                moves = [client.step(self.now) for _ in range(200)]
            assert moves[-1] is Move.LIVE

    def audit(self) -> None:
        for client, started in zip(self.clients, self.started, strict=True):
            for channel in client.channels:
                self._audit(client, channel, started[channel])

    def _audit(self, client: Client, channel: str, start: int) -> None:
        truth = self.truth[channel]
        expected, said = start, math.inf
        for kind, name, position in client.seen:
            if kind == "reset":
                return  # it starts at the live end; from there on nothing is owed
            if name != channel:
                continue
            if kind == "gap":
                said = position
                continue
            index = truth.index(position)
            if client.rewind and expected == start:  # after trims and losses a ring may serve older events than were asked for
                expected = min(expected, index)
            missed = [p for p in truth[expected:index] if p not in self.lost]
            assert index >= expected or position in self.lost, f"{channel} repeated or out of order"
            assert not missed or said != math.inf, f"silent gap in {channel}"
            expected, said = index + 1, math.inf
        assert not [p for p in truth[expected:] if p not in self.lost] or said != math.inf, f"end of {channel} is missing"


def play(seed: int, actions: list[int]) -> None:
    """Play one history to its end. Raises AssertionError: something was lost, repeated, disordered, or silently missing."""
    world = World(seed)
    for action in actions:
        world.act(action)
    world.settle()
    for channel in CHANNELS:  # shows a reader what was trimmed before it came
        world.append(channel)
    world.settle()
    world.audit()
