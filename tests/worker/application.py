"""An application as it stands for stock arq; nothing here knows of tailrace."""

import asyncio
import os
import signal
from typing import Any, ClassVar

from arq import Retry, cron, func

Ctx = dict[str, Any]


async def add(ctx: Ctx, a: int, b: int = 0) -> int:
    return a + b


async def context(ctx: Ctx) -> dict[str, Any]:
    known = {name: ctx[name] for name in ("job_id", "job_try", "score", "pool")}
    return {**known, "enqueued": ctx["enqueue_time"].timestamp()}


async def stubborn(ctx: Ctx, times: int) -> int:
    if ctx["job_try"] <= times:
        raise Retry(defer=0.05)
    return int(ctx["job_try"])


async def sleepy(ctx: Ctx, seconds: float) -> int:
    """Note each start and end, and say which try this is."""
    await ctx["redis"].rpush(f"starts:{ctx['job_id']}", os.getpid())
    await asyncio.sleep(seconds)
    await ctx["redis"].rpush(f"ends:{ctx['job_id']}", os.getpid())
    return int(ctx["job_try"])


async def parent(ctx: Ctx) -> str:
    job = await ctx["redis"].enqueue_job("add", 20, b=22)
    return str(job.job_id)


async def named(ctx: Ctx, receipt: str = "none", *rest: int) -> list[Any]:
    return [receipt, *rest]


async def keywords(ctx: Ctx, *args: Any, **kwargs: Any) -> list[Any]:
    return [*args, kwargs]


async def unstorable(ctx: Ctx) -> list[object]:
    return [object()]


async def raises(ctx: Ctx) -> None:
    raise ValueError("why")


async def murderous(ctx: Ctx) -> None:
    await ctx["redis"].incr("murders")
    os.kill(os.getpid(), signal.SIGKILL)


async def beside(ctx: Ctx, seconds: float, fatal: bool = False) -> None:
    """Note how many of these run now, this one included."""
    await ctx["redis"].rpush(f"beside:{ctx['job_id']}", await ctx["redis"].incr("running"))
    await asyncio.sleep(seconds)
    if fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    await ctx["redis"].decr("running")


async def beat(ctx: Ctx) -> None:
    seconds, micros = await ctx["redis"].time()
    await ctx["redis"].rpush("ticks", ctx["score"])
    await ctx["redis"].rpush("beats", seconds * 1000 + micros // 1000)


async def on_startup(ctx: Ctx) -> None:
    ctx["pool"] = "open"
    await ctx["redis"].rpush("hooks", "startup")


async def on_shutdown(ctx: Ctx) -> None:
    await ctx["redis"].rpush("hooks", "shutdown")


async def on_job_start(ctx: Ctx) -> None:
    await ctx["redis"].rpush(f"hooks:{ctx['job_id']}", "start")


async def on_job_end(ctx: Ctx) -> None:
    there = await ctx["redis"].exists(f"arq:result:{ctx['job_id']}")
    await ctx["redis"].rpush(f"hooks:{ctx['job_id']}", f"end {there}")


async def after_job_end(ctx: Ctx) -> None:
    there = await ctx["redis"].exists(f"arq:result:{ctx['job_id']}")
    await ctx["redis"].rpush(f"hooks:{ctx['job_id']}", f"after {there}")


class WorkerSettings:
    functions: ClassVar[list[Any]] = [
        *(add, context, stubborn, sleepy, parent, named, keywords, raises, murderous, beside),
        func(add, name="forgetful", keep_result=0),
        func(add, name="fleeting", keep_result=0.0001),
        func(sleepy, name="hasty", timeout=0.2),
        func(sleepy, name="patient", timeout=86_400),
        func(stubborn, name="once", max_tries=1),
        func(sleepy, name="single", max_tries=1),
        func(sleepy, name="untried", max_tries=0),
        func(sleepy, name="instant", timeout=0),
        unstorable,
    ]
    cron_jobs: ClassVar[list[Any]] = [cron(beat, second=set(range(60)), microsecond=0)]
    on_startup = on_startup
    on_shutdown = on_shutdown
    on_job_start = on_job_start
    on_job_end = on_job_end
    after_job_end = after_job_end
    allow_abort_jobs = True
    max_jobs = 20


class Early(WorkerSettings):
    cron_jobs: ClassVar[list[Any]] = [
        cron(beat, second=set(range(60)), microsecond=0),
        cron(beat, name="early", month=1, day=1, hour=0, minute=0, run_at_startup=True),
    ]


class Timeless(WorkerSettings):
    """Nothing runs by itself, so what runs was called by a test."""

    cron_jobs: ClassVar[list[Any]] = []


class Watched(Timeless):
    health_check_interval = 0.2
