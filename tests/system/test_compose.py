"""The stack that compose.yaml describes: what it promises on paper, and what it does as processes."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest

from tailrace.events import Registry
from tailrace.redis import connect
from tailrace.wire import Keys
from tests.support.steady import SteadyClient, SteadyProducer, at
from tests.support.wait import wait_until
from tests.system.checker import judge
from tests.system.compose import ROOT, Stack, read_compose, running

CLIENTS, RATE, LOAD_S = 30, 50, 6
PASSWORD = "anything"


@pytest.fixture(scope="module", name="described")
def _described() -> Any:
    return read_compose({"TAILRACE_PASSWORD": PASSWORD})


@pytest.fixture
def stack() -> Iterator[Stack]:
    with running({"TAILRACE_PASSWORD": PASSWORD}, edges=3, workers=2) as stack:
        yield stack


def test_every_service_is_kept_small_and_without_privileges(described: Any) -> None:
    for name, service in described["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].split(":")[0] not in ("", "0", "root"), name
        assert {"healthcheck", "mem_limit", "ulimits", "stop_grace_period"} <= service.keys(), name
        assert "container_name" not in service, "a name for one would forbid --scale"


def test_only_caddy_is_published_and_only_here(described: Any) -> None:
    published = {name: service["ports"] for name, service in described["services"].items() if "ports" in service}
    assert published == {"caddy": ["127.0.0.1:80:8080", "127.0.0.1:443:8443"]}
    assert described["networks"]["inside"] == {"internal": True}
    assert described["services"]["valkey"]["networks"] == ["inside"]


def test_an_image_of_ones_own_and_numbers_that_last_are_variables() -> None:
    services = read_compose({"TAILRACE_IMAGE": "shop", "TAILRACE_EDGES": "3", "TAILRACE_WORKERS": "2"})["services"]
    assert {name for name, service in services.items() if service["image"] == "shop"} == {"edge", "worker", "ingest", "console"}
    assert (services["edge"]["scale"], services["worker"]["scale"]) == ("3", "2")


@pytest.mark.parametrize("name", ["edge", "worker"])
def test_there_is_time_to_drain(described: Any, name: str) -> None:
    service = described["services"][name]
    assert int(service["stop_grace_period"].removesuffix("s")) > int(service["environment"]["TAILRACE_DRAIN_S"]) + 10


def test_no_password_is_on_a_command_line(described: Any) -> None:
    assert PASSWORD not in repr([service.get("command") for service in described["services"].values()])
    assert described["services"]["edge"]["environment"]["TAILRACE_REDIS_URL"] == f"redis://:{PASSWORD}@valkey:6379/0"


def test_one_base_and_one_user_for_all() -> None:
    """The image is made from scratch: in a layer above the base, what is removed would still take its room."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert bases == ["python:3.11-slim-bookworm", "python:3.11-slim-bookworm", "scratch"]
    assert "USER 10001:10001" in lines[lines.index("FROM scratch") :]


@pytest.mark.anyio
async def test_the_whole_stack_misses_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge is killed and Valkey restarted, under load, with all clients and the producer at Caddy's one address."""
    monkeypatch.setenv("SSL_CERT_FILE", str(stack.caddy.authority))
    assert stack.healthy == dict.fromkeys(stack.healthy, True)
    clients = [SteadyClient([stack.caddy], ["room:1"]) for _ in range(CLIENTS)]
    producer = SteadyProducer(stack.caddy, "room:1", RATE)
    began = time.monotonic()
    async with anyio.create_task_group() as group:
        for client in clients:
            group.start_soon(client.run)
        await wait_until(lambda: all(client.connects for client in clients), timeout_s=10)
        spread = await wait_until(lambda: _clients_per_edge(stack))
        group.start_soon(at, LOAD_S / 3, stack.edges[0].kill)
        group.start_soon(at, LOAD_S * 2 / 3, stack.valkey.restart)
        await producer.run(LOAD_S)
        await wait_until(lambda: all(client.has(producer.accepted) for client in clients), timeout_s=20)
        group.cancel_scope.cancel()
    verdicts = [judge(producer.accepted, client.seen) for client in clients]
    print(
        f"{spread} clients at {len(stack.edges)} edges, one edge killed, Valkey killed and started: {len(producer.numbers)} accepted, "
        f"{producer.repeats} sent again, {sum(client.connects for client in clients) - CLIENTS} reconnects; "
        f"lost {sum(len(v.lost) for v in verdicts)}, doubled {sum(len(v.doubled) for v in verdicts)}, "
        f"reordered {sum(len(v.reordered) for v in verdicts)}; {time.monotonic() - began:.1f} s"
    )
    assert spread is not None
    assert len(spread) == len(stack.edges)
    assert [verdict for verdict in verdicts if not verdict.clean] == []
    assert [client.notices for client in clients if client.notices] == []
    assert [client.refusals for client in clients if client.refusals] == []
    await _page_is_there(stack)


async def _clients_per_edge(stack: Stack) -> list[int] | None:
    """Count them, once all are registered."""
    async with connect(stack.redis_url) as redis:
        found = await Registry(redis, Keys()).clients()
    return sorted(Counter(client.edge for client in found).values()) if len(found) == CLIENTS else None


async def _page_is_there(stack: Stack) -> None:
    async with httpx.AsyncClient() as http:
        page = await http.get(f"{stack.caddy.url}/")
    assert page.status_code == 200
    assert "tailrace" in page.text
