"""Who reaches ingest and the console without a token: this machine's own pages and programs, or nobody by accident."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.cli.running import Up
from tests.support.flood import dial
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.system.compose import Engine

REBOUND = "attacker.example:8001"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture(scope="module", params=["ingest", "console"])
def guarded(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[Service]:
    settings = ("--redis", server.url) if request.param == "ingest" else ()
    with Service(request.param, *settings, "--hosts", "tailrace.test") as service:
        yield service


def test_a_page_whose_name_was_rebound_is_told_421(guarded: Service) -> None:
    for method, path in (("GET", "/"), ("GET", "/healthz"), ("POST", "/push"), ("GET", "/jobs/1"), ("DELETE", "/jobs/1")):
        headers = {"Host": REBOUND, "Origin": f"http://{REBOUND}"}
        answer = httpx.request(
            method, f"{guarded.url}{path}", headers=headers, content=b'{"to": "all", "data": 1}' if method == "POST" else None
        )
        assert answer.status_code == 421
        assert "'attacker.example'" in answer.json()["message"]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1", "127.1.2.3", "localhost", "LOCALHOST:8001", "[::1]:8001", "tailrace.test", "Tailrace.Test:80"]
)
def test_names_of_loopback_and_those_of_the_setting_are_answered(guarded: Service, host: str) -> None:
    assert httpx.get(f"{guarded.url}/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "hosts",
    [b"", b"Host: localhost\r\nHost: localhost\r\n", b"Host: localhost\r\nhost: attacker.example\r\n", b"Host: a b\r\n", b"Host:\r\n"],
)
def test_no_host_and_two_of_them_are_400(guarded: Service, hosts: bytes) -> None:
    with dial(guarded.url) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + hosts + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_with_a_token_any_name_will_do(server: RedisServer) -> None:
    with Service("ingest", "--redis", server.url, "--push-token", "secret") as service:
        assert httpx.get(f"{service.url}/healthz", headers={"Host": REBOUND}).status_code == 200
        assert httpx.post(f"{service.url}/push", headers={"Host": REBOUND}, content=b"{}").status_code == 401


@pytest.mark.parametrize(
    "flags", [("--host", "0.0.0.0"), ("--host", "::"), ("--published-on", "0.0.0.0"), ("--published-on", "push.example")]
)
def test_ingest_is_not_opened_to_others_without_a_token(server: RedisServer, flags: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tailrace.cli", "ingest", "--port", "0", "--redis", server.url, *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert flags[0] in done.stderr
    assert "--push-token" in done.stderr
    assert "--allow-anonymous-push" in done.stderr


@pytest.mark.parametrize("flags", [("--push-token", "secret"), ("--allow-anonymous-push",), ("--published-on", "127.0.0.1")])
def test_ingest_listens_everywhere_where_that_is_meant(server: RedisServer, flags: tuple[str, ...]) -> None:
    with Service("ingest", "--redis", server.url, "--host", "0.0.0.0", *flags) as service:
        port = urlsplit(service.url).port
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", headers={"Host": REBOUND}).status_code == 200


def test_up_is_not_opened_to_others_without_being_told(tmp_path: Path) -> None:
    running = Up(tmp_path, "--host", "0.0.0.0")
    assert running.process.wait(40) == 1
    assert "--allow-anonymous-push" in running.log


@pytest.mark.parametrize(("bind", "token", "starts"), [("", "", True), ("0.0.0.0", "", False), ("0.0.0.0", "secret", True)])
def test_compose_takes_pushes_without_a_token_on_this_machine_only(
    server: RedisServer, tmp_path: Path, bind: str, token: str, starts: bool
) -> None:
    engine = Engine({"TAILRACE_BIND": bind, "TAILRACE_PUSH_TOKEN": token}, tmp_path)
    environ = {**engine.environ("ingest"), "TAILRACE_REDIS_URL": server.url}
    service = Service(*engine.services["ingest"]["command"], "--port", "0", environ=environ)
    if starts:
        with service:
            assert service.returncode is None
    else:
        with pytest.raises(RuntimeError, match="--push-token"):
            service.start()
