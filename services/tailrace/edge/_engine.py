"""The engine: everything between Redis and the connections of one edge."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from tailrace.edge._config import EdgeConfig
from tailrace.edge._context import Core
from tailrace.edge._errors import BusyError
from tailrace.edge._limits import most_connections
from tailrace.edge._metrics import render
from tailrace.edge.feed._probe import PROBE_S, Probe
from tailrace.edge.feed._reader import BLOCK_S, Reader
from tailrace.edge.feed._warmup import WarmUp
from tailrace.edge.registry._registrar import Registrar, Roster
from tailrace.edge.streams._admission import Starter
from tailrace.edge.streams._client_address import Addresses
from tailrace.edge.streams._drain import Farewell
from tailrace.edge.streams._frames import jittered
from tailrace.edge.streams._generations import Sync
from tailrace.edge.streams._heartbeat import Heartbeats
from tailrace.edge.streams._hub import Hub
from tailrace.edge.streams._replay import CatchUp
from tailrace.edge.streams._request import StreamRequest
from tailrace.edge.streams._stall import StallWatch
from tailrace.edge.streams._subscriber import Behind, Connection, Subscriber
from tailrace.events import Registry
from tailrace.redis import connect, connect_reader, read_together

logger = logging.getLogger(__name__)
_STREAMS_LISTED = 4
"""A client's channels are listed if they are no more than so many streams may ask for."""


class Engine:
    """One per edge; `running` is its life."""

    def __init__(self, config: EdgeConfig) -> None:
        self.config = config
        self.id = secrets.token_hex(8)
        """Names this process in the registry."""
        self.state = "starting"
        """Then `ready`, and `draining` or `failed` at the end."""
        self.subscribers: set[Subscriber] = set()
        self.failed = False
        self.on_failure: Callable[[], None] = lambda: None
        """Called if the engine breaks, which ends all streams."""
        self._on_ready: Callable[[], None] = lambda: None
        self._redis = connect(config.redis)
        self._core = core = Core.of(config, self._redis)
        self.meter = core.meter
        self._hub = hub = Hub(core)
        self._sync = sync = Sync(core, hub)
        self._catch_up = CatchUp(core, hub, sync)
        self._readers, self._probes = self._make_readers((hub, self._catch_up, sync))
        self._warm_up = WarmUp(core, sync, self._redis, self._readers)
        self._heartbeats = Heartbeats(core, hub)
        self._stall_watch = StallWatch(core, hub, self._catch_up)
        self._starter = Starter(core, hub, sync)
        self._roster = Roster(config.registry_bytes, _STREAMS_LISTED * config.max_channels)
        registry = Registry(self._redis, core.keys, lease_s=config.registry_lease_s)
        self._registrar = Registrar(registry, self.id, self._roster, config.registry_lease_s / 3)
        self.when_registered = self._registrar.when_told
        self._entering = 0
        self._most = config.max_connections or most_connections()
        self.addresses = Addresses(config)
        self._farewell = Farewell(config, self.subscribers)

    def _make_readers(self, engine: tuple[Hub, CatchUp, Sync]) -> tuple[list[Reader], list[Probe]]:
        url, core, turn = self.config.redis, self._core, asyncio.Lock()
        groups = read_together(self._redis, self.config.shards)
        readers = [Reader(core, connect_reader(url, block_s=BLOCK_S), shards, engine, turn) for shards in groups]
        return readers, [Probe(core, reader, engine, self._redis) for reader in readers]

    @asynccontextmanager
    async def running(self, patience_s: float | None = None) -> AsyncIterator[None]:
        """Run as long as the block lasts; begins when Redis is there and the rings are warm.

        After `patience_s`, or where some of Redis is there and some isn't, it begins without, and puts clients off until it is.
        Raises SetupError: Redis or a setting is not as it has to be.
        """
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        work = asyncio.create_task(self._work(begun), name="tailrace edge")
        try:
            await asyncio.wait((work, begun), timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work  # which says why it can't begin
            work.add_done_callback(self._ended)
            yield
        finally:
            self.state = "draining"
            work.cancel()
            with suppress(asyncio.CancelledError, Exception):  # its failure has been logged
                await work
            self._farewell.end_all()
            if begun.done():
                await self._registrar.leave()
            for reader, probe in zip(self._readers, self._probes, strict=True):
                await reader.aclose()
                await probe.aclose()
            await self._redis.aclose()

    async def _work(self, begun: asyncio.Future[None]) -> None:
        await self._warm_up.run(partial(_settle, begun))
        if self.state == "starting":
            self.state = "ready"
            self._on_ready()
        _settle(begun)
        async with asyncio.TaskGroup() as group:
            for part in (
                *[reader.run() for reader in self._readers],
                *[probe.run(min(PROBE_S, self.config.registry_lease_s / 3)) for probe in self._probes],
                self._catch_up.run(),
                self._registrar.run(),
                self._heartbeats.run(),
                self._stall_watch.run(),
                self._farewell.retire(),
            ):
                group.create_task(part)

    def when_ready(self, call: Callable[[], None]) -> None:
        """Call something once clients are let in, which may be now."""
        self._on_ready = call
        if self.state == "ready":
            call()

    def _ended(self, work: asyncio.Task[None]) -> None:
        if not work.cancelled() and (error := work.exception()):
            logger.critical("the edge failed: its streams end, and it isn't ready any more", exc_info=error)
            self.state, self.failed = "failed", True
            self._farewell.end_all()
            self.on_failure()

    @property
    def degraded(self) -> str:
        """Why the edge serves less than it could; empty where it doesn't."""
        if away := self._sync.away:
            refused, shards = self._sync.refused, f"the Redis of shard {', '.join(map(str, sorted(away)))}"
            if len(away) == len(self._core.tails):
                return refused or "Redis is away"
            return f"{shards}: {refused}" if refused else f"{shards} is away"
        if self._warm_up.layout_away:
            return f"the Redis of {self._core.keys.layout()} is away"
        return f"{len(self.subscribers)} streams are open, no more are let in" if self._is_full else ""

    @property
    def _is_full(self) -> bool:
        return len(self.subscribers) + self._entering >= self._most

    async def enter(self, request: StreamRequest, address: str = "") -> Subscriber:
        """Take a client in: find where its stream begins, and register it; `address` is as `addresses.of` gave it.

        Raises BusyError: not now.
        """
        self._check_room(request, address)
        self.addresses.enter(address)  # before the work, so that nobody has more of it under way than streams
        self._entering += 1
        try:
            behind = await self._starter.begin(request)
            self._check_ready()
        except BaseException:
            self.addresses.leave(address)
            raise
        finally:
            self._entering -= 1
        subscriber = self._admit(request, behind, address)
        try:
            await self._registrar.told()
        except asyncio.CancelledError:
            self.leave(subscriber)
            raise
        return subscriber

    def enter_at_once(self, request: StreamRequest, address: str) -> Subscriber | None:
        """Take a client in without waiting for its registration, for which see `when_registered`; None where that takes `enter`.

        Raises BusyError: not now.
        """
        self._check_room(request, address)
        behind = self._starter.begin_at_once(request)
        if behind is None:
            return None
        self.addresses.enter(address)
        return self._admit(request, behind, address)

    def _admit(self, request: StreamRequest, behind: Behind, address: str) -> Subscriber:
        subscriber = Subscriber(request.client, request.channels, round(time.time() * 1000), behind, address)
        behind.ignored = request.ignored
        self._hub.enter(subscriber)
        self.subscribers.add(subscriber)
        self._roster.join(subscriber.client, subscriber.presence)
        self.meter.resumed += bool(request.cursor)
        return subscriber

    def _check_ready(self) -> None:
        if self.state != "ready":
            raise BusyError(f"the edge is {self.state}", self.state)

    def _check_room(self, request: StreamRequest, address: str) -> None:
        self._check_ready()
        if self._is_full:
            raise BusyError("the edge is full")
        self.addresses.check(address)
        most = self.config.max_connections_per_client
        if most and self._roster.connections(request.client) >= most:
            raise BusyError(f"{most} streams are open with this client_id", "client")

    def open(self, subscriber: Subscriber, connection: Connection) -> None:
        """Begin the stream of a client whose response has begun."""
        self.meter.accepted += 1
        subscriber.connection = connection
        subscriber.write(self._starter.opening(subscriber, self._roster.connections(subscriber.client)))
        self._heartbeats.add(subscriber)
        self._catch_up.serve(subscriber)
        if self.state != "ready":  # the edge has begun to end while this one was registered
            self._farewell.send_away(subscriber)

    def make_room(self, subscriber: Subscriber) -> None:
        """Go on with a client whose socket takes more again."""
        self._catch_up.serve(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a client that has gone."""
        if subscriber not in self.subscribers:
            return
        self.subscribers.discard(subscriber)
        self._hub.remove(subscriber)
        self._heartbeats.remove(subscriber)
        subscriber.connection = None
        self.addresses.leave(subscriber.address)
        self._roster.leave(subscriber.client, subscriber.presence)
        self._registrar.changed()

    async def drain(self) -> None:
        """Let nobody in any more, and close all streams in waves within `drain_s`; few are closed at once."""
        self.state = "draining"
        await self._farewell.drain()

    def cut_all(self) -> None:
        """Cut all connections, whatever they still had to be sent."""
        self._farewell.cut_all()

    def busy_retry_ms(self) -> int:
        """Return when a client that was put off shall come again, in milliseconds."""
        self.meter.refused += 1
        return jittered(self.config.busy_retry_ms)

    def metrics(self) -> str:
        """Return all figures for Prometheus."""
        self.meter.unlisted, self.meter.shared = self._roster.unlisted, self._roster.shared
        return render(self.meter, len(self.subscribers), len(self._hub.behind), self._core.tails)


def _settle(begun: asyncio.Future[None]) -> None:
    if not begun.done():
        begun.set_result(None)
