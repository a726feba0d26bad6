import httpx
import pytest
from redis.asyncio import Redis

from tailrace.wire import Keys
from tests.support.service import Service
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
KEYS = Keys()


async def _enqueue(client: httpx.AsyncClient, body: object) -> str:
    answer = await client.post("/push", json=body, headers={"prefer": "respond-async"})
    url: str = answer.json()["url"]
    return url


async def _ended(client: httpx.AsyncClient, url: str) -> dict[str, object]:
    async def state() -> dict[str, object] | None:
        body: dict[str, object] = (await client.get(url)).json()
        return body if body["state"] not in ("queued", "scheduled") else None

    body = await wait_until(state)
    assert body is not None
    return body


async def test_a_job_tells_of_its_end(client: httpx.AsyncClient) -> None:
    url = await _enqueue(client, {"to": "job:1", "data": 1})
    body = await _ended(client, url)
    assert list(body) == ["job", "state", "receipt"]
    assert (f"/jobs/{body['job']}", body["state"]) == (url, "appended")
    assert isinstance(body["receipt"], dict)
    assert body["receipt"]["to"] == "job:1"


async def test_a_job_of_an_array_has_an_array_of_receipts(client: httpx.AsyncClient) -> None:
    body = await _ended(client, await _enqueue(client, [{"to": "job:2", "data": 1}]))
    assert isinstance(body["receipt"], list)
    assert [receipt["data"] for receipt in body["receipt"]] == [1]


async def test_cancelled_in_time(client: httpx.AsyncClient) -> None:
    url = await _enqueue(client, {"to": "job:3", "data": 1, "delay_s": 60})
    assert (await client.get(url)).json()["state"] == "scheduled"
    for _ in range(2):
        answer = await client.delete(url)
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    body = (await client.get(url)).json()
    assert set(body) == {"job", "state"}
    assert body["state"] == "cancelled"


async def test_a_cancelled_jobs_receipt_is_kept_as_long_as_the_setting_says(system_url: str, redis: Redis) -> None:
    with Service("ingest", "--redis", system_url, "--receipt-s", "7") as service:
        async with httpx.AsyncClient(base_url=service.url) as client:
            url = await _enqueue(client, {"to": "job:3", "data": 1, "delay_s": 60})
            assert (await client.delete(url)).status_code == 200
    assert 0 < await redis.ttl(f"tailrace:receipt:{url.rpartition('/')[2]}") <= 7


async def test_too_late_to_cancel(client: httpx.AsyncClient, redis: Redis) -> None:
    url = await _enqueue(client, {"to": "job:4", "data": 1})
    await _ended(client, url)
    ended = await client.delete(url)
    assert (ended.status_code, ended.json()["status"]) == (409, "error")
    await redis.set("arq:job:in-hand", b"{}", px=60_000)  # as a take leaves it: out of the queue, its payload there
    in_hand = await client.delete("/jobs/in-hand")
    assert (in_hand.status_code, in_hand.json()["message"]) == (409, "too late: a worker has the job")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_unknown_jobs(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/jobs/nobody-knows")
    assert (answer.status_code, answer.json()["status"], answer.json()["path"]) == (404, "error", "$")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_what_others_wrote_in_the_place_of_a_receipt(client: httpx.AsyncClient, redis: Redis, method: str) -> None:
    await redis.set(KEYS.receipt("nonsense"), b"nonsense", px=60_000)
    unknown = await client.request(method, "/jobs/nonsense")
    assert (unknown.status_code, unknown.json()["status"]) == (404, "error")
    await redis.xadd(KEYS.receipt("stream"), {"a": "b"})
    refused = await client.request(method, "/jobs/stream")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["message"] == "Redis refuses a command"
