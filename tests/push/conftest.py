"""One Valkey and one worker for the tests that look at what becomes of pushes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis import RedisServer
from tests.support.service import Service

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="package")
def working_url() -> Iterator[str]:
    """URL of a server with a worker; it is never emptied, so tests use channels of their own."""
    with (
        RedisServer() as server,
        Service("worker", "--redis", server.url, "--functions", "tests.push.functions", environ={"PYTHONPATH": str(ROOT)}),
    ):
        yield server.url
