"""Packages of npm that read event streams lose nothing and deliver nothing twice."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest

from tailrace.events import LogWriter, NewEvent
from tailrace.redis import connect
from tailrace.wire import Keys, encode_json_block
from tests.clients.harness import Client, CuttingRelay, Numbered, running
from tests.clients.packages import NPM, npm_packages
from tests.support.ports import free_port
from tests.support.relay import Relay
from tests.support.service import Service
from tests.support.steady import at

pytestmark = pytest.mark.anyio
EVENTS, PER_S = 60, 50
TEXT = "Zürich, 東京, 🦀"
SHORT = ("eventsource2", "eventsource4", "fetch-event-source", "eventsource-client")
"""Clients that every run of the tests tries; the long tier tries the others too."""
PROGRAM = Path(__file__).parent / "programs" / "npm.cjs"


@pytest.fixture(scope="module")
def packages() -> Path:
    folder = npm_packages()
    (folder / PROGRAM.name).write_bytes(PROGRAM.read_bytes())
    return folder


@pytest.fixture(params=[name if name in SHORT else pytest.param(name, marks=pytest.mark.prove) for name in NPM])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def writer(redis_url: str) -> AsyncIterator[LogWriter]:
    redis = connect(redis_url)
    yield LogWriter(redis, Keys(), 0)
    await redis.aclose()


@contextmanager
def edge(redis_url: str, port: int | None = None) -> Iterator[Service]:
    with Service("edge", "--redis", redis_url, "--port", str(port or free_port()), "--retry-ms", "100", "--drain-s", "1") as service:
        yield service


@pytest.fixture
def reading(packages: Path, name: str, tmp_path: Path) -> Iterator["Reading"]:
    with ExitStack() as stack:
        yield Reading(stack, packages, name, tmp_path)


class Reading:
    """Starts the package under test."""

    def __init__(self, stack: ExitStack, folder: Path, name: str, output: Path) -> None:
        self._stack, self._folder, self._name, self._output = stack, folder, name, output

    async def start(self, address: str, query: str = "") -> Client:
        url = f"{address}/sse?channel=a{query}"
        command = ["node", PROGRAM.name, self._name, url]
        client = self._stack.enter_context(running(command, self._folder, self._output / "lines"))
        await client.sees("connect")
        return client


async def write(writer: LogWriter, first: int, last: int) -> None:
    for number in range(first, last):
        block = encode_json_block("message", f'{{"n":{number},"text":"{TEXT}"}}'.encode())
        await writer.append([NewEvent(str(number), "a", block)])
        await anyio.sleep(1 / PER_S)


async def sees_all(client: Client) -> None:
    await client.sees("message", EVENTS)
    assert client.messages == [Numbered(number, TEXT) for number in range(EVENTS)]


async def test_a_steady_stream(reading: Reading, redis_url: str, writer: LogWriter) -> None:
    with edge(redis_url) as service:
        client = await reading.start(service.url)
        await write(writer, 0, EVENTS)
        await sees_all(client)


async def test_an_edge_killed_and_started_again(reading: Reading, redis_url: str, writer: LogWriter) -> None:
    with edge(redis_url) as service:
        client = await reading.start(service.url)
        await write(writer, 0, 20)
        await client.sees("message")
        service.kill()
        await write(writer, 20, 40)
        service.start()
        await write(writer, 40, EVENTS)
        await sees_all(client)
        assert len(client.events("connect")) > 1


async def test_a_drain_with_a_second_edge(reading: Reading, redis_url: str, writer: LogWriter) -> None:
    with edge(redis_url) as first, edge(redis_url) as second:
        async with Relay(int(first.url.rpartition(":")[2])) as relay:
            client = await reading.start(f"http://{relay.address}")
            await write(writer, 0, 20)
            relay.port = int(second.url.rpartition(":")[2])
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(at, 0, first.terminate)
                await write(writer, 20, EVENTS)
            await sees_all(client)
            assert len(client.events("connect")) > 1


async def test_a_stream_cut_inside_events(reading: Reading, redis_url: str, writer: LogWriter) -> None:
    with edge(redis_url) as service:
        async with CuttingRelay(int(service.url.rpartition(":")[2]), cuts=2) as relay:
            client = await reading.start(f"http://{relay.address}")
            await write(writer, 0, EVENTS)
            await sees_all(client)
            assert relay.cuts_left == 0


async def test_a_reset_is_delivered(reading: Reading, redis_url: str, writer: LogWriter) -> None:
    with edge(redis_url) as service:
        client = await reading.start(service.url, "&last_event_id=unknown")
        await client.sees("reset")
