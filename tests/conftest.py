"""Fixtures for all tests: real servers, asyncio, and no blocking call of ours inside the loop."""

import signal
import types
from collections.abc import Iterator
from contextlib import ExitStack

import blockbuster
import pytest
import redis
from hypothesis import settings

import tailrace
from tests.support.orphans import guard
from tests.support.redis import KEPT, Kind, RedisServer, executable

settings.register_profile("tailrace", deadline=None)  # a busy machine is no failure
settings.load_profile("tailrace")


def pytest_configure() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would all that tests start
    guard()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def _nothing_blocks_the_loop() -> Iterator[None]:
    roots = []
    for path in tailrace.__path__:
        root = types.ModuleType(path)
        root.__path__ = [path]
        roots.append(root)
    with blockbuster.blockbuster_ctx(roots) as detector:
        # under `make coverage` its own lock, for which code in the loop waits while a thread is traced
        detector.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        for function in detector.functions.values():  # redis-py 8 reads its own version from its files, for each client that is made
            function.can_block_in("redis/utils.py", "get_lib_version")
        yield


@pytest.fixture(scope="session")
def _servers() -> Iterator[dict[Kind, RedisServer]]:
    with ExitStack() as stack:
        yield _Servers(stack)


class _Servers(dict[Kind, RedisServer]):
    """One server of each kind for the session, started when first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__()
        self._stack = stack

    def __missing__(self, kind: Kind) -> RedisServer:
        self[kind] = self._stack.enter_context(RedisServer(kind))
        return self[kind]


def _emptied(server: RedisServer) -> str:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


@pytest.fixture
def redis_url(_servers: dict[Kind, RedisServer]) -> str:
    """URL of the session's Valkey, emptied."""
    return _emptied(_servers["valkey"])


@pytest.fixture(params=["valkey", "redis"])
def any_redis_url(request: pytest.FixtureRequest, _servers: dict[Kind, RedisServer]) -> str:
    """URL of an emptied server: Valkey's newest, then the oldest Redis that is supported (Debian's 7.0)."""
    if executable(request.param) is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    return _emptied(_servers[request.param])


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """Give the test a Valkey of its own, to kill and start again; it keeps an append-only file."""
    with RedisServer("valkey", *KEPT) as server:
        yield server
