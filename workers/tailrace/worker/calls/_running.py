"""A call that this worker has claimed."""

import asyncio

from tailrace.queue import Claimed
from tailrace.worker.calls._runner import Why, Work


class Running:
    """One call, from its claim to its settlement."""

    def __init__(self, claimed: Claimed, sure_until: float) -> None:
        """`sure_until`: by the loop's clock, when the claim may have run out."""
        self.claimed, self.sure_until = claimed, sure_until
        self.work: Work | None = None
        self.settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Says whether the claim held when the call was settled."""

    @property
    def aborted(self) -> bool:
        return self.work is not None and self.work.why is Why.ABORTED and self.work.task.cancelled()

    def cancel(self, why: Why) -> None:
        if self.work:
            self.work.cancel(why)
