"""The plugin in an application of somebody's own."""

import pytest
from litestar.testing import TestClient

from tailrace.edge import EdgeConfig
from tests.edge.foreign import make_app


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/hello", 200),
        ("HEAD", "/events", 200),
        ("OPTIONS", "/events", 204),
        ("GET", "/events?channel=", 400),
        ("GET", "/events?channel=user:1", 403),
        ("POST", "/events", 405),
        ("GET", "/sse", 404),
        ("GET", "/healthz", 404),
    ],
)
def test_what_litestar_s_own_client_can_show(redis_url: str, method: str, path: str, status: int) -> None:
    with TestClient(make_app(EdgeConfig(redis=redis_url, path="/events"))) as client:
        assert client.request(method, path).status_code == status
