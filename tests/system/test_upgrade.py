"""Two versions beside each other on one Valkey, exchanged in the documented order under load; in another order events are lost."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import anyio
import httpx
import pytest
from redis.asyncio import Redis

from tailrace.events import Registry
from tailrace.push import Pusher
from tailrace.wire import EDGE_FORMAT, Keys
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.steady import Addressed, SteadyClient, SteadyProducer
from tests.support.stream import Block
from tests.support.versions import CURRENT, LATER, Version, earlier
from tests.support.wait import wait_until
from tests.system.checker import Verdict, forks, judge
from tests.system.producing import CALLS

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
FIRST = "e27343d738ddc71a670386e4d76eb467767b64f1"
"""The commit before which nobody has built anything that has to be upgraded."""
CLIENTS, RATE, MOVE_S, MORE = 6, 20, 0.1, 8
KINDS = ["data", "text", "many", "due", CALLS]
KEYS = Keys()
EDGE = ("--drain-s", "0.5")
WORKER = ("--functions", "tests.system.functions", "--lease-s", "0.5", "--call-lease-s", "0.5")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return earlier(FIRST, tmp_path_factory.mktemp("earlier"))


@dataclass(eq=False)
class Wanderer(SteadyClient):
    """A client that notes at which edges it has been."""

    visited: list[Addressed] = field(default_factory=list)
    _asked: Addressed | None = None

    async def _stream(self, edge: Addressed) -> None:
        self._asked = edge
        await super()._stream(edge)

    def _take(self, block: Block) -> None:
        if block.event == "connect" and self._asked is not None:
            self.visited.append(self._asked)
        super()._take(block)

    def went(self, *places: Sequence[Addressed]) -> bool:
        """Say whether it was at an edge of each place in this order, perhaps at others between."""
        visited = iter(self.visited)
        return all(any(edge in place for edge in visited) for place in places)


class Producing(Service):
    """`tests.system.producing` under a version."""

    def __init__(self, version: Version, url: str, client: str, first: dict[str, int]) -> None:
        super().__init__("push")
        later = ("later",) if version is LATER else ()
        self._command = (str(version.python), "-m", "tests.system.producing", url, client, json.dumps(first), *later)

    def said(self, what: str) -> list[list[object]]:
        return [line[1:] for text in list(self.stdout) if text.startswith("[") and (line := json.loads(text))[0] == what]

    def accepted(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for kind, number in self.said("accepted"):
            assert isinstance(number, int)
            found.setdefault(str(kind), []).append(number)
        return found


class Site:
    """A system whose parts are exchanged one by one while clients and producers go on."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.url, self._stack = url, stack
        self.edges: list[Service] = []
        self.clients = [Wanderer(self.edges, [*KINDS, "http"], first) for first in range(CLIENTS)]
        self.own = f"client:{self.clients[0].client_id}"
        self.producers: list[Producing] = []
        self.http: SteadyProducer | None = None

    async def start(self, *services: Service) -> None:
        async with anyio.create_task_group() as group:
            for service in services:
                group.start_soon(anyio.to_thread.run_sync, self._stack.enter_context, service)

    async def two_edges(self, version: Version) -> tuple[Service, Service]:
        """Start two edges; whoever comes to one of them goes to one of those that were there before next."""
        one, other = [version.service("edge", "--redis", self.url, *EDGE) for _ in range(2)]
        await self.start(one, other)
        self.edges[1:1] = [one]
        self.edges.append(other)
        return one, other

    async def worker(self, version: Version) -> Service:
        worker = version.service("worker", "--redis", self.url, *WORKER)
        await self.start(worker)
        return worker

    async def ingest(self, version: Version) -> Service:
        ingest = version.service("ingest", "--redis", self.url)
        await self.start(ingest)
        if self.http is None:
            self.http = SteadyProducer(ingest, "http", RATE)
        self.http.ingest = ingest
        return ingest

    async def producer(self, version: Version) -> Producing:
        first = {kind: numbers[-1] + 1 for kind, numbers in self.accepted().items() if numbers}
        producer = Producing(version, self.url, self.clients[0].client_id, first)
        self.producers.append(producer)
        await self.start(producer)
        return producer

    async def end(self, *services: Service) -> None:
        """End parts as an upgrade does."""
        self.edges[:] = [edge for edge in self.edges if edge not in services]
        for service in services:
            assert await anyio.to_thread.run_sync(service.terminate) == 0, service.stderr

    def accepted(self) -> dict[str, list[int]]:
        """Say what was accepted by now, per channel."""
        found: dict[str, list[int]] = {"http": list(self.http.numbers)} if self.http else {}
        for producer in self.producers:
            for kind, numbers in producer.accepted().items():
                found.setdefault(kind, []).extend(numbers)
        return found

    async def goes_on(self) -> None:
        """Wait until some more of each kind has come to each client."""
        before = [dict(client.latest) for client in self.clients]
        channels = {*KINDS, "http"}

        def more() -> bool:
            pairs = zip(self.clients, before, strict=True)
            others = all(client.latest.get(channel, -1) >= was.get(channel, -1) + MORE for client, was in pairs for channel in channels)
            return others and self.clients[0].latest.get(self.own, -1) >= before[0].get(self.own, -1) + MORE

        await wait_until(more, timeout_s=15)

    async def wander(self) -> None:
        """Break one stream after another, so that clients go from edge to edge all the time."""
        while True:
            for client in self.clients:
                await anyio.sleep(MOVE_S)
                if client.stream is not None:
                    client.stream.cut()

    def judge(self) -> Verdict:
        """Hold what each client saw against all that was accepted, and see that they saw it in one order."""
        accepted = self.accepted()
        others = {channel: numbers for channel, numbers in accepted.items() if channel != self.own}
        assert forks({str(number): client.seen for number, client in enumerate(self.clients)}) == ()
        assert [notice for client in self.clients for notice in client.notices] == []
        assert [pair for client in self.clients for pair in client.receded] == []
        assert [status for client in self.clients for status in client.refusals] == []
        first, *rest = self.clients
        return sum([judge(others, client.seen) for client in rest], judge(accepted, first.seen))


@pytest.fixture
def site(redis_server: RedisServer) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(redis_server.url, stack)


async def push_over_http(ingest: Service) -> str:
    """Push and wait for the receipt, whoever makes it; return its status."""
    async with httpx.AsyncClient(timeout=20) as http:
        answer = await http.post(f"{ingest.url}/push", json={"to": "elsewhere", "text": "x"})
    return str(answer.json()["status"])


async def lowest_format(url: str) -> int:
    async with Redis.from_url(url) as redis:
        return await Registry(redis, KEYS).lowest_format()


async def exchange_edges(site: Site, before: Version, after: Version) -> None:
    """Clients go from old edges to new ones and back meanwhile."""
    old = list(site.edges)
    new = await site.two_edges(after)
    await wait_until(lambda: all(client.went(old, new, old, new, old) for client in site.clients), timeout_s=15)
    for version in (before, after):
        listed = await version.run("clients", "--json", "--redis", site.url)
        assert {json.loads(line)["client"] for line in listed} & {client.client_id for client in site.clients}
    assert await lowest_format(site.url) == (EDGE_FORMAT if before is CURRENT else 0)
    await site.end(*old)
    await site.goes_on()
    assert {*site.edges} == {*new}
    assert await lowest_format(site.url) == EDGE_FORMAT


async def exchange_workers(site: Site, worker: Service, before: Version, after: Version) -> None:
    """Forward, back after a while, and forward again: each version takes over from the other, once from one that was killed."""
    next_worker = await site.worker(after)
    await anyio.to_thread.run_sync(worker.kill)
    await site.goes_on()
    worker = await site.worker(before)
    await site.goes_on()
    await anyio.to_thread.run_sync(next_worker.kill)
    await site.goes_on()
    await site.worker(after)
    await site.end(worker)
    await site.goes_on()


async def bury(site: Site, job: str) -> None:
    """Enqueue a push that can't be valid, as a raw producer does."""
    async with Redis.from_url(site.url) as redis:
        await redis.set(f"arq:job:{job}", '{"f":"push","a":[{"to":"a","txet":"x"}],"k":{},"t":null,"et":0}', ex=60)
        await redis.zadd(KEYS.queue(), {job: 1})
        await wait_until(lambda: letters_hold(redis, job))


async def letters_hold(redis: Redis, job: str) -> bool:
    return job.encode() in [fields[b"job"] for _, fields in await redis.xrange(KEYS.dead())]


def wrong_receipts(producers: Sequence[Producing], own: str) -> list[list[object]]:
    """List those that say anything but that an event was appended, or was appended before under its key."""

    def is_right(kind: object, state: object, statuses: object) -> bool:
        assert isinstance(statuses, list)
        right = {"duplicate"} if kind == "duplicate" else {"success", "info"} if kind == own else {"success"}
        return state == "appended" and {*statuses} <= right

    return [line for producer in producers for line in producer.said("receipt") if not is_right(line[0], line[2], line[3])]


async def upgrade(site: Site, before: Version, after: Version) -> None:
    """Exchange all parts in the documented order."""
    async with anyio.create_task_group() as starting:
        starting.start_soon(site.two_edges, before)
        starting.start_soon(site.ingest, before)
    worker = await site.worker(before)
    assert site.http is not None
    old_ingest = site.http.ingest
    assert isinstance(old_ingest, Service)
    async with anyio.create_task_group() as group:
        for client in site.clients:
            group.start_soon(client.run)
        await wait_until(lambda: all(client.connects for client in site.clients), timeout_s=10)
        producer = await site.producer(before)
        async with anyio.create_task_group() as load:
            load.start_soon(site.http.run, 120)
            load.start_soon(site.wander)
            await bury(site, "first")
            await site.goes_on()
            await exchange_edges(site, before, after)
            await exchange_workers(site, worker, before, after)
            assert await push_over_http(old_ingest) == "success"
            await site.ingest(after)
            await site.end(old_ingest)
            await site.end(producer)
            producer = await site.producer(after)
            await bury(site, "second")
            await site.goes_on()
            await site.end(producer)
            load.cancel_scope.cancel()
        accepted = site.accepted()
        await wait_until(lambda: all(client.has(accepted) for client in site.clients), timeout_s=15)
        await wait_until(lambda: site.clients[0].latest[site.own] == accepted[site.own][-1])
        group.cancel_scope.cancel()


@pytest.mark.parametrize("step", ["from the first version to this one", "from this version to a later one"])
async def test_an_upgrade_in_the_documented_order_costs_nobody_anything(site: Site, step: str, request: pytest.FixtureRequest) -> None:
    before, after = (CURRENT, LATER) if "later" in step else (request.getfixturevalue("old"), CURRENT)
    await upgrade(site, before, after)
    counts = Counter({kind: len(numbers) for kind, numbers in site.accepted().items()})
    verdict = site.judge()
    print(
        f"{step}: accepted {dict(counts)}; {sum(len(client.visited) for client in site.clients)} streams; lost {len(verdict.lost)}, "
        f"doubled {len(verdict.doubled)}, reordered {len(verdict.reordered)}"
    )
    assert verdict == Verdict()
    assert wrong_receipts(site.producers, site.own) == []
    assert sum(len(producer.said("receipt")) for producer in site.producers) > counts["data"]
    for version in (before, after):
        letters = [json.loads(line) for line in await version.run("dead", "list", "--json", "--redis", site.url)]
        assert [(letter["job"], letter["path"]) for letter in letters] == [("first", "$.txet"), ("second", "$.txet")]


async def numbered(url: str, channel: str, numbers: Sequence[int]) -> None:
    """Push some numbers and wait until they are appended."""
    async with Pusher(url) as pusher:
        for number in numbers:
            assert await (await pusher.push(channel, {"n": number, "c": channel})).receipt(20)


async def test_in_another_order_an_old_edge_loses_what_it_does_not_know(site: Site, old: Version) -> None:
    edges = [version.service("edge", "--redis", site.url, *EDGE) for version in (old, CURRENT)]
    await site.start(*edges)
    clients = [SteadyClient([edge], ["data"]) for edge in edges]
    async with anyio.create_task_group() as group:
        for client in clients:
            group.start_soon(client.run)
        await wait_until(lambda: all(client.connects for client in clients), timeout_s=10)
        worker = await site.worker(LATER)
        await numbered(site.url, "data", range(10))
        await site.end(worker)
        await site.worker(CURRENT)
        await numbered(site.url, "data", [10])
        await wait_until(lambda: all(client.latest.get("data") == 10 for client in clients))
        group.cancel_scope.cancel()
    by_old, by_current = [judge({"data": range(11)}, client.seen) for client in clients]
    assert by_current == Verdict()
    assert [event.number for event in by_old.lost] == [event.number for event in by_old.silent] == list(range(10))


async def test_in_another_order_an_old_worker_refuses_what_it_does_not_know(site: Site, old: Version) -> None:
    await site.worker(old)
    async with Redis.from_url(site.url) as redis:
        push = '"to":"data","text":"x"'
        for job, text in (("new", f'{{{push},"ephemeral":true}}'), ("known", f"{{{push}}}")):
            await redis.set(f"arq:job:{job}", f'{{"f":"push","a":[{text}],"k":{{}},"t":null,"et":0,"later":1}}', ex=60)
            await redis.zadd(KEYS.queue(), {job: 1 if job == "new" else 2})
        await wait_until(lambda: redis.xlen(KEYS.log(0)))
        assert await letters_hold(redis, "new")
        assert await redis.xlen(KEYS.log(0)) == 1
