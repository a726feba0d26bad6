"""Ingest as an application that somebody's own server makes, forks, starts, stops and mounts."""

import asyncio
import logging
import warnings
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from litestar import Litestar
from litestar.testing import TestClient
from redis.asyncio import Redis

from tailrace.ingest import IngestConfig
from tailrace.wire import Keys
from tests.support import hosts

with warnings.catch_warnings(action="ignore"):  # that it wants another httpx
    from starlette.testclient import TestClient as StarletteClient

# The oldest Litestar that is supported doesn't know the style that the newest wants.
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated (inferred|annotated)")
_PUSHES = 60


@pytest.mark.anyio
@pytest.mark.parametrize("server", ["gunicorn --preload", "multiprocessing fork"])
async def test_an_application_made_before_a_fork_loses_no_push(server: str, system_url: str, redis: Redis, tmp_path: Path) -> None:
    before = await redis.xlen(Keys().log(0))

    async def push(number: int) -> httpx.Response:
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            return await client.post("/push", json={"to": "forked", "data": {"n": number}})

    with hosts.served(server, "ingest", system_url, tmp_path / "log") as url:
        answers = await asyncio.gather(*[push(number) for number in range(_PUSHES)])
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "success")] * _PUSHES
    assert len({answer.json()["id"] for answer in answers}) == _PUSHES
    assert await redis.xlen(Keys().log(0)) == before + _PUSHES
    assert "Traceback" not in (tmp_path / "log").read_text()


def _app(redis_url: str) -> Litestar:
    return hosts.ingest(IngestConfig(redis=redis_url))


def test_an_application_that_ended_pushes_when_it_is_started_again(system_url: str) -> None:
    app = _app(system_url)
    for _ in range(3):
        with TestClient(app) as client:
            assert client.post("/push", json={"to": "again", "data": 1}).json()["status"] == "success"


def test_a_mounted_application_pushes_where_the_outer_one_runs_its_lifespan(system_url: str) -> None:
    inner = _app(system_url)
    outer = FastAPI(lifespan=lambda _: inner.lifespan())
    outer.mount("/push-api", inner)  # type: ignore[arg-type]  # Litestar's own ASGI types
    for _ in range(2):
        with StarletteClient(outer) as client:
            assert client.post("/push-api/push", json={"to": "mounted", "data": 1}).json()["status"] == "success"


@pytest.mark.parametrize(("method", "path"), [("POST", "/push"), ("GET", "/jobs/x"), ("DELETE", "/jobs/x"), ("GET", "/readyz")])
def test_an_application_that_nothing_starts_says_once_what_to_do(
    system_url: str, caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    outer = FastAPI()
    outer.mount("/push-api", _app(system_url))  # type: ignore[arg-type]  # Litestar's own ASGI types
    with StarletteClient(outer) as client:
        answers = [client.request(method, f"/push-api{path}", json={"to": "all", "data": 1}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503] * 3
    assert "ingest is not running" in answers[0].json()["message"]
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.levelname == "ERROR"
    assert "`app.lifespan()`" in line.getMessage()
