"""An edge without one of its protections, as a process: `python -m tests.prove.unprotected links edge --port 0 ...`.

The product has no such switch. Its parts are replaced here, before its command runs.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping

from tailrace.cli import main
from tailrace.edge.feed._probe import Probe
from tailrace.edge.registry import _registrar
from tailrace.edge.registry._registrar import Roster
from tailrace.edge.streams import _replay
from tailrace.edge.streams._hub import Hub
from tailrace.edge.streams._resume import Replay, replay
from tailrace.edge.streams._subscriber import Subscriber
from tailrace.edge.window._ring import Ring
from tailrace.events import ChannelHistory
from tailrace.service import _http_bounds, _sockets
from tests.support.service import Service

_LATE_S = 0.05


def links() -> None:
    """Take what histories and ring hold for all there was."""

    def trusting(histories: Mapping[str, ChannelHistory], ring: Ring, after: int, bound: int, excused: Mapping[str, int]) -> Replay:
        return replay(histories, ring, after, bound, excused)._replace(missing=[])

    _replay.replay = trusting  # type: ignore[attr-defined]


def join() -> None:
    """Take a subscriber for live before it is registered with the hub: batches pass in between."""
    in_one_step = Hub.join

    def in_two_steps(self: Hub, subscriber: Subscriber) -> None:
        subscriber.behind = None
        self.behind.discard(subscriber)
        asyncio.get_running_loop().call_later(_LATE_S, in_one_step, self, subscriber)

    Hub.join = in_two_steps  # type: ignore[method-assign]


def probe() -> None:
    """Never look whether the logs move without their reader."""

    async def blind(self: Probe, every_s: float) -> None:
        await asyncio.Event().wait()

    Probe.run = blind  # type: ignore[method-assign]


def heads() -> None:
    """Gather heads of any size and number."""
    _http_bounds.HEAD_BYTES = _http_bounds.MAX_FIELDS = _sockets._UNFINISHED_BYTES = 1 << 40


def registry() -> None:
    """Register all names as they are, and as many as there are."""
    _registrar.registered_name = str  # type: ignore[assignment, attr-defined]
    Roster._fits = lambda *_: True  # type: ignore[method-assign]
    Roster.tidy = lambda self: None  # type: ignore[method-assign]  # noqa: ARG005 - as it is called


WITHOUT: dict[str, Callable[[], None]] = {"links": links, "join": join, "probe": probe, "heads": heads, "registry": registry}


class Unprotected(Service):
    """A service that runs so."""

    def __init__(self, protection: str, command: str, *arguments: str) -> None:
        super().__init__(command, *arguments)
        self._command = (sys.executable, "-m", "tests.prove.unprotected", protection, *self._command[3:])


if __name__ == "__main__":
    WITHOUT[sys.argv.pop(1)]()
    sys.exit(main())
