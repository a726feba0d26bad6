"""The SSE contract, over both ways to a socket: the transport handed over, and plain ASGI."""

import uuid
from functools import partial

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from tailrace.events import AWAY, Registry
from tailrace.wire import ALL, Keys
from tests.edge.conftest import Log, Site
from tests.edge.tools import numbers, sse
from tests.support.eager import EagerParser, cut_at, inevitable
from tests.support.service import Service
from tests.support.sse import SSEClient
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
CLIENT = "6ffb1c74-4ca5-4b92-9a2e-6ef8d4d1b0a1"


@pytest.fixture
def redis_url(site: Site) -> str:
    return site.redis_url


@pytest.fixture
async def edge(site: Site, redis: Redis) -> Service:
    """Give the edge, once all who were there before have left."""
    await wait_until(partial(has, Registry(redis, Keys()), ALL, 0))
    return site.edge


async def get(edge: Service, method: str = "GET", params: dict[str, str | list[str]] | None = None) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.request(method, f"{edge.url}/sse", params=params)


async def test_head_and_first_events(edge: Service, log: Log) -> None:
    async with sse(edge, channel=["room:1", "b", "room:1"], unknown="x") as client:
        connect = await client.next(None)
        data = msgspec.json.decode(connect.data)
        assert client.status == 200
        assert client.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert client.headers["cache-control"] == "no-cache, no-store, no-transform"
        assert client.headers["x-accel-buffering"] == "no"
        assert client.headers["x-content-type-options"] == "nosniff"
        assert client.headers["transfer-encoding"] == "chunked"
        assert connect.id
        assert uuid.UUID(data["id"]).version == 4
        assert data["channels"] == ["room:1", "b", ALL, f"client:{data['id']}"]
        assert (data["message"], data["heartbeat_s"]) == ("connected", 0.3)
        assert data["ignored"] == ["unknown"]
        assert 50 <= (client.retry_ms or 0) <= 150
        for channel in ("room:1", "b", ALL, f"client:{data['id']}"):
            (number,) = await log.append(channel)
            assert await client.data() == {"n": number, "channel": channel}


@pytest.mark.parametrize(
    ("query", "ignored"),
    [
        ("channel=a&client_id=" + CLIENT + "&rewind=1&last_event_id=", None),
        ("channels=a&topic=b&channels=c&channel=d", ["channels", "topic"]),
        ("x%0Aid:%20y%0A%0A=1&%22", ["x\nid: y\n\n", '"']),
        ("&".join(f"{n}{'x' * 100}" for n in range(30)), [f"{n}{'x' * 63}" for n in range(10)]),
    ],
)
async def test_ignored_parameters_are_named(edge: Service, query: str, ignored: list[str] | None) -> None:
    async with SSEClient(f"{edge.url}/sse?{query}") as client:
        assert (await client.data("connect")).get("ignored") == ignored
        await client.next("heartbeat")


async def test_heartbeats_carry_the_cursor(edge: Service, log: Log) -> None:
    async with sse(edge) as client:
        connect = await client.next("connect")
        await log.append("elsewhere")
        beat = await client.next("heartbeat")
        assert msgspec.json.decode(beat.data)["message"] == "alive"
        await wait_until(lambda: client.last_event_id != connect.id)


async def test_a_client_id_is_kept(edge: Service, log: Log) -> None:
    async with sse(edge, client_id=CLIENT.upper()) as client:
        assert (await client.data("connect"))["id"] == CLIENT
        await client.drop()
        (number,) = await log.append(f"client:{CLIENT}")
        await client.reconnect()
        assert (await client.data("connect"))["id"] == CLIENT
        assert (await client.data())["n"] == number


async def test_two_connections_with_one_id_both_receive_and_count_once(edge: Service, log: Log) -> None:
    registry = Registry(log.redis, Keys())
    async with sse(edge, client_id=CLIENT) as one, sse(edge, client_id=CLIENT, channel="a") as two:
        await one.next("connect")
        await two.next("connect")
        await log.append(f"client:{CLIENT}")
        assert (await one.next()).id == (await two.next()).id
        assert await registry.recipients([ALL, "a", f"client:{CLIENT}"]) == [1, 1, 1]


BAD_REQUESTS: list[tuple[dict[str, str | list[str]], int, str, str]] = [
    ({"channel": "a b"}, 400, "channel", "'a b'"),
    ({"channel": ""}, 400, "channel", "''"),
    ({"channel": "$sys"}, 400, "channel", "'$sys'"),
    ({"channel": "x" * 129}, 400, "channel", "1 to 128"),
    ({"channel": "é"}, 400, "channel", "1 to 128"),
    ({"channel": [f"c{n}" for n in range(101)]}, 400, "channel", "101 channels"),
    ({"channel": ["fine", f"client:{CLIENT}"]}, 403, "channel", "client:"),
    ({"channel": "user:1"}, 403, "channel", "user:1"),
    ({"client_id": "me"}, 400, "client_id", "'me'"),
    ({"client_id": ""}, 400, "client_id", "no UUID"),
    ({"client_id": "{" + CLIENT + "}"}, 400, "client_id", "no UUID"),
    ({"rewind": "-1"}, 400, "rewind", "'-1'"),
    ({"rewind": "1001"}, 400, "rewind", "1000"),
    ({"rewind": "many"}, 400, "rewind", "'many'"),
]


async def test_bad_requests_are_told_what_is_wrong(edge: Service) -> None:
    for params, status, path, says in BAD_REQUESTS:
        answer = await get(edge, params=params)
        body = msgspec.json.decode(answer.content)
        assert (answer.status_code, body["status"], body["path"]) == (status, "error", path), params
        assert says in body["message"], params
        assert answer.headers["content-type"] == "application/json"


async def test_a_hundred_channels_are_fine(edge: Service) -> None:
    async with sse(edge, channel=[f"c{n}" for n in range(100)]) as client:
        assert len((await client.data("connect"))["channels"]) == 102


async def test_other_methods(edge: Service) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = await get(edge, method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert "no way to publish" in answer.text
    answer = await get(edge, "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_cors(edge: Service) -> None:
    ours, other = {"Origin": "https://example.org"}, {"Origin": "https://elsewhere.org"}
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "last-event-id"}
    async with httpx.AsyncClient(base_url=edge.url) as client:
        preflight = await client.options("/sse", headers=ours | asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://example.org"
        assert preflight.headers["access-control-allow-headers"] == "last-event-id"
        assert "GET" in preflight.headers["access-control-allow-methods"]
        head = await client.head("/sse", headers=ours)
        assert head.headers["access-control-allow-origin"] == "https://example.org"
        assert head.headers["vary"] == "Origin"
        assert "access-control-allow-origin" not in (await client.head("/sse", headers=other)).headers
        bad = await client.get("/sse?channel=%20", headers=ours)
        assert (bad.status_code, bad.headers["access-control-allow-origin"]) == (400, "https://example.org")


async def test_resume_by_header_then_by_parameter(edge: Service, log: Log) -> None:
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        first, second = [(await log.append("a"))[0] for _ in range(2)]
        after_first = (await client.next()).id
        after_second = (await client.next()).id
        await client.drop()
        (third,) = await log.append("a")
        async with SSEClient(f"{edge.url}/sse?channel=a&last_event_id={after_second}", after_first) as header:
            connect = await header.next("connect")
            assert connect.id == after_first
            assert [(await header.data())["n"] for _ in range(2)] == [second, third]
        async with SSEClient(f"{edge.url}/sse?channel=a&last_event_id={after_second}") as parameter:
            assert (await parameter.data())["n"] == third
        assert first < second < third


async def test_a_cursor_that_cannot_be_read_resets(edge: Service, log: Log) -> None:
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        appended = await log.append("a", times=3)
        assert await numbers(client, 3) == appended  # the edge has read them
    for cursor in ("garbage", "1.", "x" * 200, "1abcdeAAAAAAA.abcdeAAAAAAA", "1zzzzzAAAAAAA"):
        async with sse(edge, cursor, channel="a") as client:
            connect, reset = await client.next(None), await client.next(None)
            assert (connect.event, connect.id) == ("connect", "")
            assert reset.event == "reset"
            assert reset.id
            assert msgspec.json.decode(reset.data)["reason"]
            (number,) = await log.append("a")
            assert (await client.data())["n"] == number


async def raw(edge: Service, until: bytes, cursor: str = "", query: str = "") -> bytes:
    """Return what an edge sends up to some text and the end of the block that holds it."""
    body = b""
    headers = {"Last-Event-ID": cursor} if cursor else {}
    async with httpx.AsyncClient() as client, client.stream("GET", f"{edge.url}/sse?channel=a{query}", headers=headers) as answer:
        async for part in answer.aiter_raw():
            body += part
            if b"\n\n" in body.partition(until)[2]:
                break
    return body[: body.index(b"\n\n", body.index(until)) + 2]


async def test_every_block_has_data_and_ends_with_its_id(edge: Service, log: Log) -> None:
    """Clients exist that deliver a block without data as an empty message, and others that keep an id before its event is whole."""
    body = await raw(edge, b"event: heartbeat")
    assert body.startswith(b":tailrace\nretry: ")
    reset = await raw(edge, b"event: heartbeat", "broken")
    for block in (body + reset).removesuffix(b"\n\n").split(b"\n\n"):
        names = [line.partition(b":")[0] for line in block.split(b"\n")]
        shape = [b"event", b"data"] if reset.startswith(block) else [b"event", b"data", b"id"]  # the reset brings the cursor
        assert names in (shape, [b"", b"retry", *shape]), block


async def test_a_client_that_keeps_ids_early_loses_nothing_wherever_its_stream_is_cut(edge: Service, log: Log) -> None:
    start = cut_at(body := await raw(edge, b"event: connect"), len(body)).cursor
    sent = await log.append("a", times=8)
    last = b'"n":%d,' % sent[-1]
    stream, resumed = await raw(edge, last, start), dict[str, list[int]]()
    for cut in range(len(stream)):
        if inevitable(stream, cut):
            continue
        before = cut_at(stream, cut)
        cursor = before.cursor or start
        seen = numbers_in(before)
        if cursor not in resumed and seen != sent:
            rest = await raw(edge, last, cursor)
            resumed[cursor] = numbers_in(cut_at(rest, len(rest)))
        assert seen + resumed[cursor] == sent, stream[:cut]


def numbers_in(parser: EagerParser) -> list[int]:
    return [msgspec.json.decode(event.data)["n"] for event in parser.events if event.event == "message"]


async def test_rewind_gives_exactly_the_last_events_of_each_channel(edge: Service, log: Log) -> None:
    async with sse(edge, channel=["a", "b"]) as client:
        await client.next("connect")
        a, b = await log.append("a", times=5), await log.append("b", times=5)
        a += await log.append("a", times=1)
        to_all = await log.append(ALL, times=3)
        await numbers(client, 14)  # the edge has read them: a rewind counts from where it stands
    async with sse(edge, channel=["a", "b", "silent"], rewind=2) as client:
        seen = [(await client.data())["n"] for _ in range(6)]
        assert seen == sorted([*a[-2:], *b[-2:], *to_all[-2:]])
        (number,) = await log.append("silent")
        assert (await client.data())["n"] == number
        assert [event.event for event in client.events if event.event not in ("message", "heartbeat")] == ["connect"]
        await client.reconnect()
        (number,) = await log.append("a")
        assert (await client.data())["n"] == number


async def test_several_channels_come_in_log_order(edge: Service, log: Log) -> None:
    async with sse(edge, channel=["a", "b"]) as client:
        await client.next("connect")
        for channel in "abbaab":
            await log.append(channel)
        assert [(await client.data())["n"] for _ in range(6)] == list(range(6))
        assert len(set(client.ids())) == len([event for event in client.events if event.event != "heartbeat"])


async def test_registered_before_connect_is_read_and_away_after_leaving(edge: Service, redis: Redis) -> None:
    registry = Registry(redis, Keys())
    for _ in range(5):
        async with sse(edge, channel="a") as client:
            own = (await client.data("connect"))["channels"][-1]
            assert await registry.recipients([ALL, "a", own]) == [1, 1, 1]
        await wait_until(partial(has, registry, own, AWAY))
    assert await registry.recipients([ALL, "a"]) == [0, 0]


async def test_two_edges_both_deliver(edge: Service, site: Site, log: Log) -> None:
    async with sse(edge, channel="a") as one, sse(site.other, channel="a") as two:
        await one.next("connect")
        await two.next("connect")
        await log.append("a")
        assert (await one.next()).id == (await two.next()).id


async def test_a_client_moves_between_edges(edge: Service, site: Site, log: Log) -> None:
    other = site.other
    numbers = []
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        for url in (f"{other.url}/sse", f"{edge.url}/sse", f"{other.url}/sse"):
            numbers += await log.append("a", times=3)
            await client.drop()
            numbers += await log.append("a", times=3)
            await client.reconnect(url)
        assert [(await client.data())["n"] for _ in numbers] == numbers


async def test_large_events_and_bursts_arrive_whole(edge: Service, log: Log) -> None:
    async with sse(edge, channel="a") as client:
        await client.next("connect")
        numbers = await log.append("a", times=3, filler=1 << 20)
        numbers += await log.append("a", times=2000, filler=100)
        assert [(await client.data(timeout_s=10))["n"] for _ in numbers] == numbers


async def has(registry: Registry, channel: str, recipients: int) -> bool:
    return await registry.recipients([channel]) == [recipients]
