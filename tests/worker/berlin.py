"""An application whose clock is Berlin's."""

from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from arq import cron


async def tick(ctx: dict[str, Any]) -> None:
    await ctx["redis"].rpush("ticks", ctx["score"])


class WorkerSettings:
    cron_jobs: ClassVar[list[Any]] = [cron(tick, second=set(range(60)), microsecond=0)]
    timezone = ZoneInfo("Europe/Berlin")
