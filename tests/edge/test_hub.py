"""Fan-out over real sockets, in one process."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tailrace.edge import EdgeConfig
from tailrace.edge._engine import Engine
from tailrace.edge.http._connection import SocketConnection
from tailrace.edge.streams._frames import LAST_CHUNK, PIECE_BYTES
from tailrace.edge.streams._hub import SLICE
from tailrace.edge.streams._subscriber import Behind, Subscriber
from tailrace.edge.window._segment import Page
from tests.edge.entries import at, entry
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio


class Client:
    """A live subscriber, and the far end of its socket."""

    def __init__(self, engine: Engine, *channels: str) -> None:
        self.subscriber = Subscriber("c", channels, 0, Behind(engine._hub.position))
        self.connection = self.subscriber.connection = SocketConnection(engine, self.subscriber)
        self.near, self.far = socket.socketpair()
        self.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 10)
        self.far.settimeout(0)
        engine._hub.behind.add(self.subscriber)

    async def begin(self, *, framed: bool = False) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(lambda: self.connection, self.near)
        self.connection.begin(transport, framed=framed)

    async def gone(self) -> None:
        """Return when the engine has let go of its socket."""
        self.far.close()
        await wait_until(lambda: self.near.fileno() < 0)

    async def read(self, size: int) -> bytes:
        text = b""
        async with asyncio.timeout(5):
            while len(text) < size and (part := await asyncio.get_running_loop().sock_recv(self.far, size - len(text))):
                text += part
        return text


@asynccontextmanager
async def clients(engine: Engine, *channels: tuple[str, ...], framed: bool = False) -> AsyncIterator[list[Client]]:
    made = [Client(engine, *names) for names in channels]
    for client in made:
        await client.begin(framed=framed)
        engine._hub.join(client.subscriber)
    await wait_until(lambda: all(client.connection.fd > 0 for client in made))  # what is written next goes past the transports
    yield made
    for client in made:
        client.connection.cut()
        await client.gone()


@pytest.fixture
def engine() -> Engine:
    return Engine(EdgeConfig())


async def deliver(engine: Engine, number: int, *channels: str, size: int = 1) -> None:
    """Hand the hub a batch of one event in each of some channels, all of the same size."""
    tail, hub = engine._core.tails[0], engine._hub
    before, entries = hub.position, [entry(number + place, channel, size=size) for place, channel in enumerate(channels)]
    page = Page.of(entries)
    tail.take(page, entries[-1].id)
    await hub.deliver([(0, page)], before)


def names(text: bytes) -> list[int]:
    return [int(part.lstrip(b"x")) for line in text.split(b"\n") if (part := line.removeprefix(b"data: ")) != line]


async def test_each_gets_the_events_of_its_channels_in_order(engine: Engine) -> None:
    async with clients(engine, ("a",), ("b",), ("a", "b"), ("b", "a"), ("c",)) as (a, b, both, too, none):
        await deliver(engine, 1, "a", "b", "a")
        texts = [(await client.read(1)) + client.far.recv(1 << 16) for client in (a, b, both, too)]
        assert [names(text) for text in texts] == [[1, 3], [2], [1, 2, 3], [1, 2, 3]]
        assert engine._hub.position_of(none.subscriber) == (at(3),)
        with pytest.raises(BlockingIOError):
            none.far.recv(1)


async def test_what_a_full_socket_takes_half_comes_whole(engine: Engine) -> None:
    async with clients(engine, ("a",)) as (client,):
        sent = 0
        while not client.connection.paused:
            sent += 1
            await deliver(engine, sent, "a", size=3000)
        assert client.connection.backlog()
        await deliver(engine, sent + 1, "a", size=3000)
        behind = client.subscriber.behind
        assert behind
        assert behind.slow
        assert behind.positions == [at(sent)]
        text = b""
        while text.count(b"\n\n") <= sent:  # it catches up from the ring as it reads
            text += await client.read(1)
        assert names(text) == list(range(1, sent + 2))
        assert await wait_until(lambda: client.subscriber.behind is None)


async def test_nothing_follows_the_last_chunk(engine: Engine) -> None:
    async with clients(engine, ("a",), framed=True) as (client,):
        client.connection.end()
        await deliver(engine, 1, "a")
        client.subscriber.write(b"more")
        assert await client.read(100) == LAST_CHUNK


async def test_a_peer_that_is_gone_stops_nobody(engine: Engine) -> None:
    async with clients(engine, ("a",), ("a",)) as (gone, here):
        gone.far.close()
        await deliver(engine, 1, "a")
        assert names(await here.read(1) + here.far.recv(1 << 16)) == [1]


async def test_a_large_fan_out_lets_others_in_between(engine: Engine) -> None:
    size = SLICE // 100 * 2 + 1  # each gets a hundred pieces, two at a time
    async with clients(engine, *[("a",)] * size) as crowd:

        async def leave_before_its_turn() -> Client:
            assert not running.done()
            (last,) = [client for client in crowd if engine._hub.position_of(client.subscriber) == (0,) and not client.subscriber.behind]
            engine._hub.remove(last.subscriber)
            return last

        running = asyncio.create_task(deliver(engine, 1, *["a"] * 100, size=33_000))
        leaving = asyncio.create_task(leave_before_its_turn())
        await running
        last = await leaving
        with pytest.raises(BlockingIOError):
            last.far.recv(1)


async def test_a_stream_begins_with_one_write_but_for_what_is_large(engine: Engine) -> None:
    client = Client(engine, "a")
    await client.begin()
    for part in (b"a", b"b" * 100, b"c" * PIECE_BYTES, b"d"):
        client.subscriber.write(part)
    assert client.connection.fd > 0  # the large part was not kept for later
    assert await client.read(102 + PIECE_BYTES) == b"a" + b"b" * 100 + b"c" * PIECE_BYTES + b"d"
    client.connection.cut()
    await client.gone()


async def test_a_stream_that_ends_at_once_says_what_it_had_to(engine: Engine) -> None:
    client = Client(engine, "a")
    await client.begin()
    client.subscriber.write(b"retry: 1\n\n")
    with pytest.raises(BlockingIOError):
        client.far.recv(1)  # gathered until the turn ends
    client.connection.end()
    assert await client.read(100) == b"retry: 1\n\n"
    await client.gone()
