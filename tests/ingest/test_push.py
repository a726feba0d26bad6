"""The push contract, row by row, over HTTP with a real worker behind."""

import gzip
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis

from tailrace.events import Registry
from tailrace.wire import ClientEntry, Keys
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
KEYS = Keys()


async def _push(client: httpx.AsyncClient, body: Any, **headers: str) -> httpx.Response:
    return await client.post("/push", json=body, headers=headers)


async def _arrive(redis: Redis, *channels: str) -> str:
    """Connect a client to an edge of its own, as the registry sees it."""
    client, entry = str(uuid4()), ClientEntry(since=0, channels=list(channels))
    counts = dict.fromkeys([*channels, f"client:{client}", "all"], 1)
    await Registry(redis, KEYS).register(client, {client: entry}, counts, whole=True)
    return client


async def _leave(redis: Redis, client: str, *channels: str) -> None:
    counts = dict.fromkeys([*channels, f"client:{client}", "all"], 0)
    await Registry(redis, KEYS).register(client, {client: None}, counts)


async def test_appended(client: httpx.AsyncClient, redis: Redis) -> None:
    someone = await _arrive(redis, "room:1")
    answer = await _push(client, {"to": "room:1", "event": "note", "data": {"hello": "world"}})
    await _leave(redis, someone, "room:1")
    body = answer.json()
    assert answer.status_code == 200
    assert list(body) == ["status", "message", "id", "recipients", "event", "to", "data", "timestamp"]
    assert (body["status"], body["recipients"], body["event"], body["to"]) == ("success", 1, "note", "room:1")
    assert body["data"] == {"timestamp": body["timestamp"], "hello": "world"}
    assert len(await redis.xrange(KEYS.log(0), body["id"], body["id"])) == 1


async def test_stamp_false_leaves_data_as_it_is(client: httpx.AsyncClient) -> None:
    answer = await _push(client, {"to": "room:2", "data": {"a": 1}, "stamp": False})
    assert answer.json()["data"] == {"a": 1}


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
async def test_a_compressed_body_is_refused_by_its_coding(client: httpx.AsyncClient, coding: str) -> None:
    answer = await client.post("/push", content=gzip.compress(b'{"to": "room:1", "data": 1}'), headers={"content-encoding": coding})
    assert (answer.status_code, answer.headers["accept-encoding"], answer.json()["status"]) == (415, "identity", "error")
    assert repr(coding) in answer.json()["message"]
    assert (await _push(client, {"to": "room:1", "data": 1}, **{"content-encoding": "Identity"})).status_code == 200


async def test_text_is_answered_as_text(client: httpx.AsyncClient) -> None:
    body = (await _push(client, {"to": "room:2", "text": "<p>\nhi</p>"})).json()
    assert body["text"] == "<p>\nhi</p>"
    assert "data" not in body


async def test_all_with_nobody_connected(client: httpx.AsyncClient) -> None:
    answer = await _push(client, {"to": "all", "data": 1})
    assert (answer.status_code, answer.json()["status"], answer.json()["recipients"]) == (200, "info", 0)


async def test_all_with_someone(client: httpx.AsyncClient, redis: Redis) -> None:
    someone = await _arrive(redis)
    answer = await _push(client, {"to": "all", "data": 1})
    await _leave(redis, someone)
    assert (answer.status_code, answer.json()["status"], answer.json()["recipients"]) == (200, "success", 1)


async def test_another_channel_with_nobody_there(client: httpx.AsyncClient) -> None:
    answer = await _push(client, {"to": "room:empty", "data": 1})
    assert (answer.status_code, answer.json()["status"], answer.json()["recipients"]) == (200, "success", 0)


async def test_a_client_that_is_there_then_away(client: httpx.AsyncClient, redis: Redis) -> None:
    someone = await _arrive(redis)
    there = await _push(client, {"to": f"client:{someone}", "data": 1})
    await _leave(redis, someone)
    away = await _push(client, {"to": f"client:{someone}", "data": 2})
    assert (there.status_code, there.json()["status"], there.json()["recipients"]) == (200, "success", 1)
    assert (away.status_code, away.json()["status"], away.json()["recipients"]) == (200, "info", 0)
    assert away.json()["id"]


async def test_a_client_that_is_not_there_gets_nothing_appended(client: httpx.AsyncClient, redis: Redis) -> None:
    before = await redis.xlen(KEYS.log(0))
    answer = await _push(client, {"to": f"client:{uuid4()}", "data": 1})
    body = answer.json()
    assert (answer.status_code, body["status"], body["path"]) == (404, "error", "$.to")
    assert await redis.xlen(KEYS.log(0)) == before


async def test_a_known_key_is_answered_with_the_first_id(client: httpx.AsyncClient) -> None:
    key = str(uuid4())
    first, second = [(await _push(client, {"to": "room:3", "data": 1, "key": key})).json() for _ in range(2)]
    assert second["duplicate"] is True
    assert "duplicate" not in first
    assert second["id"] == first["id"]


async def test_respond_async(client: httpx.AsyncClient) -> None:
    answer = await _push(client, {"to": "room:4", "data": 1}, prefer="respond-async")
    body = answer.json()
    assert answer.status_code == 202
    assert set(body) == {"status", "message", "job", "url"}
    assert (body["status"], body["url"]) == ("accepted", answer.headers["location"])
    assert answer.headers["preference-applied"] == "respond-async"
    job = await client.get(answer.headers["location"])
    assert job.status_code == 200


@pytest.mark.parametrize("when", [{"delay_s": 30}, {"at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}])
async def test_scheduled(client: httpx.AsyncClient, when: dict[str, Any]) -> None:
    begin = time.monotonic()
    answer = await _push(client, {"to": "room:5", "data": 1, **when}, prefer="wait=10")
    assert (answer.status_code, answer.json()["message"]) == (202, "scheduled")
    assert time.monotonic() - begin < 2
    assert (await client.get(answer.headers["location"])).json()["state"] == "scheduled"
    assert (await client.delete(answer.headers["location"])).status_code == 200


async def test_a_time_that_has_passed_is_now(client: httpx.AsyncClient) -> None:
    answer = await _push(client, {"to": "room:5", "data": 1, "at": "2020-01-01T00:00:00Z"})
    assert answer.status_code == 200


async def test_what_has_expired_is_not_appended(client: httpx.AsyncClient) -> None:
    answer = await _push(client, {"to": "room:5", "data": 1, "at": "2020-01-01T00:00:00Z", "expires_s": 60})
    assert (answer.status_code, answer.json()["status"]) == (410, "error")


async def test_an_array_is_answered_in_order(client: httpx.AsyncClient) -> None:
    missing = f"client:{uuid4()}"
    pushes = [{"to": "room:6", "data": 1}, {"to": missing, "data": 2}, {"to": "all", "data": 3}]
    answer = await _push(client, pushes)
    assert answer.status_code == 200
    assert [(receipt["to"], receipt["status"]) for receipt in answer.json()] == [
        ("room:6", "success"),
        (missing, "error"),
        ("all", "info"),
    ]
    assert (await _push(client, [])).json() == []


async def test_a_long_array_keeps_its_order(client: httpx.AsyncClient) -> None:
    pushes = [{"to": f"room:long:{number % 7}", "data": number} for number in range(2000)]
    answer = await _push(client, pushes, prefer="wait=20")
    assert answer.status_code == 200
    assert [receipt["data"] for receipt in answer.json()] == list(range(2000))


async def test_one_bad_element_and_nothing_is_enqueued(client: httpx.AsyncClient, redis: Redis) -> None:
    before = await redis.xlen(KEYS.log(0))
    pushes: list[dict[str, Any]] = [{"to": "room:7", "data": number} for number in range(5)]
    pushes[3]["event"] = "heartbeat"
    answer = await _push(client, pushes)
    assert (answer.status_code, answer.json()["path"]) == (422, "$[3].event")
    await _push(client, {"to": "room:7", "data": 1})
    assert await redis.xlen(KEYS.log(0)) == before + 1


async def test_an_array_due_at_different_times_is_a_job_for_each(client: httpx.AsyncClient) -> None:
    pushes = [{"to": "room:8", "data": number, "delay_s": delay} for number, delay in enumerate((0, 0.3, 0, 0.3))]
    answer = await _push(client, pushes)
    body = answer.json()
    assert answer.status_code == 202
    first, second, third, fourth = body["jobs"]
    assert first == third != second == fourth

    async def ended() -> bool:
        jobs = [(await client.get(f"/jobs/{job}")).json() for job in (first, second)]
        return [[receipt["data"] for receipt in job.get("receipt", ())] for job in jobs] == [[0, 2], [1, 3]]

    await wait_until(ended)


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        (b"{", 400, "$"),
        (b"", 400, "$"),
        (b'{"to":"a","data":"\xff"}', 422, "$.data"),
        (b"{}", 422, "$"),
        (b'{"to":"a b","data":1}', 422, "$.to"),
        (b'{"to":"a\\n","data":1}', 422, "$.to"),
        (b'{"to":"a"}', 422, "$.data"),
        (b'{"to":"a","data":1,"text":"x"}', 422, "$.text"),
        (b'{"to":"a","data":1,"sender":1}', 422, "$.sender"),
        (b'{"to":"a","data":1,"event":"connect"}', 422, "$.event"),
        (b'{"to":"a","data":1,"event":"a\\nid: 7"}', 422, "$.event"),
        (b'{"to":"a","data":1,"at":"2030-01-01T00:00:00"}', 422, "$.at"),
        (b'{"to":"a","data":1,"at":"2999-01-01T00:00:00Z"}', 422, "$.at"),
        (b'{"to":"a","data":1,"at":"2030-01-01T00:00:00Z","delay_s":1}', 422, "$.at"),
        (b'{"to":"a","data":1,"delay_s":-1}', 422, "$.delay_s"),
        (b'{"to":"a","data":1,"expires_s":"x"}', 422, "$.expires_s"),
        (b'{"to":"a","data":1e999}', 422, "$.data"),
        (b'{"to":"a","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422, "$"),
        (b'{"to":"a","data":"' + b"x" * (1 << 20) + b'"}', 413, "$.data"),
        (b'{"to":"a","text":"' + b"x" * ((1 << 20) + 1) + b'"}', 413, "$.text"),
        (b'{"to":"a","text":"' + b"x" * (16 << 20) + b'"}', 413, "$"),
    ],
    ids=lambda value: f"{value[:60]!r}:{len(value)}" if isinstance(value, bytes) else None,
)
async def test_what_cannot_be(client: httpx.AsyncClient, body: bytes, status: int, path: str) -> None:
    answer = await client.post("/push", content=body)
    assert (answer.status_code, answer.json()["path"], answer.json()["status"]) == (status, path, "error")
    assert answer.json()["message"]


async def test_pages_of_known_origins_may_push_and_others_may_not(client: httpx.AsyncClient) -> None:
    body = {"to": "room:9", "data": 1}
    good = await _push(client, body, origin="https://app.example")
    assert (good.status_code, good.headers["access-control-allow-origin"]) == (200, "https://app.example")
    bad = await _push(client, body, origin="https://evil.example")
    assert (bad.status_code, bad.json()["status"]) == (403, "error")
    odd = await _push(client, body, origin="http://[")
    assert (odd.status_code, odd.json()["status"]) == (403, "error")
    own = await _push(client, body, origin=str(client.base_url).rstrip("/"))
    assert own.status_code == 200
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    preflight = await client.options("/push", headers={**asked, "access-control-request-headers": "prefer"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
