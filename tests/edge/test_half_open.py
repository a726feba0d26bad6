"""Peers that vanish without a word."""

import socket
import time

import pytest

from tailrace.edge import EdgeConfig
from tailrace.edge.http._server import _tuned
from tailrace.service import bind
from tests.edge.conftest import StartEdge
from tests.edge.tools import metric
from tests.support.network import Elsewhere
from tests.support.ports import free_port
from tests.support.service import Service
from tests.support.wait import wait_until

BY_DEFAULT = pytest.param(EdgeConfig().heartbeat_s, EdgeConfig().stall_s, marks=[pytest.mark.prove, pytest.mark.timeout(90)])


@pytest.mark.anyio
@pytest.mark.parametrize(("heartbeat_s", "stall_s"), [(1.5, 1.5), BY_DEFAULT])
async def test_peers_that_vanish_are_gone_after_a_heartbeat_and_a_stall(
    start_edge: StartEdge, redis_url: str, heartbeat_s: float, stall_s: float
) -> None:
    peers = 50
    with Elsewhere() as elsewhere:
        metrics = free_port()
        edge = start_edge(redis_url, host="0.0.0.0", heartbeat_s=heartbeat_s, stall_s=stall_s, metrics_port=metrics)
        elsewhere.open_streams(int(edge.url.rpartition(":")[2]), peers)
        assert await metric(edge, metrics, "connections") == peers
        elsewhere.vanish()
        began = time.monotonic()
        await wait_until(lambda: _nobody(edge, metrics), timeout_s=60)
        took_s = time.monotonic() - began
        print(f"{peers} peers that vanished were gone after {took_s:.1f} s: {heartbeat_s} s to a heartbeat, {stall_s} s without an answer")
        assert took_s < heartbeat_s + stall_s + 1.5  # and the kernel's own timers


async def _nobody(edge: Service, metrics: int) -> bool:
    return await metric(edge, metrics, "connections") == 0


def test_accepted_sockets_have_small_buffers_and_an_end_without_answers() -> None:
    with _tuned(bind("127.0.0.1", 0), 15) as listener, socket.create_connection(listener.getsockname()):
        listener.settimeout(5)
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 64 << 10
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
