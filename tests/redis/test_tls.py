"""A server of Redis is believed over TLS only if its certificate is for the host that was asked for."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tailrace.events import Follower
from tailrace.redis import connect, connect_queue, connect_reader
from tailrace.wire import Keys
from tests.support.redis import executable
from tests.support.service import Service
from tests.support.tls import tls_server
from tests.support.wait import wait_until_sync

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not executable("redis"), reason="needs Debian's redis-server: Valkey's wheel has no TLS"),
]
MISMATCH = r"certificate is refused: .*not valid for.*ssl_check_hostname=no"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server whose certificate is for another host."""
    with tls_server(tmp_path_factory.mktemp("tls"), "DNS:elsewhere.example") as (_, url):
        yield url


@pytest.mark.parametrize("make", [connect, connect_queue])
async def test_a_certificate_for_another_host_is_refused(stranger: str, make: Callable[[str], Redis]) -> None:
    async with make(stranger) as redis:
        with pytest.raises(RedisConnectionError, match=MISMATCH):
            await redis.ping()
    async with make(f"{stranger}&ssl_check_hostname=no") as redis:
        assert await redis.ping()
    async with make(f"{stranger.partition('?')[0]}?ssl_cert_reqs=none") as redis:
        assert await redis.ping()


async def test_a_follower_refuses_it_too(stranger: str) -> None:
    async with connect_reader(stranger, block_s=1) as redis:
        with pytest.raises(RedisConnectionError, match=MISMATCH):
            await Follower(redis, Keys(), (0,), block_s=1, most=1).run({0: 0}, _nothing)


async def _nothing(_: object) -> dict[int, int]:
    return {0: 0}


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
async def test_so_do_clients_of_a_cluster_and_of_sentinels(stranger: str, kind: str) -> None:
    url = stranger.replace("rediss://", f"rediss+{kind}://")
    async with connect(url.replace("/0?", "/service?" if kind == "sentinel" else "/?")) as redis:
        with pytest.raises(RedisConnectionError, match=MISMATCH):
            await redis.ping()


@pytest.mark.parametrize("command", ["doctor", "push"])
def test_commands_refuse_it(stranger: str, command: str) -> None:
    arguments = ["--redis", stranger, *(["--to", "all", "1"] if command == "push" else [])]
    done = subprocess.run(
        [sys.executable, "-m", "tailrace.cli", command, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode
    assert "not valid for" in done.stdout + done.stderr


def test_services_refuse_it(stranger: str) -> None:
    with Service("ingest", "--redis", stranger) as service:
        wait_until_sync(lambda: "not valid for" in service.stderr)


async def test_a_certificate_for_this_host_is_taken(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (_, url):
        async with connect(url) as redis:
            assert await redis.ping()
