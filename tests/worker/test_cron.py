"""When scheduled functions run, also where the clock is put forward or back."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis
from arq.cron import CronJob, cron
from hypothesis import given, settings, strategies as st

from tailrace.worker.calls._cron import next_run
from tests.support.clock import ShiftedRedis
from tests.support.service import Service
from tests.support.wait import wait_until_sync

ROOT = Path(__file__).parents[2]
BERLIN, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")  # the latter's clock moves by half an hour
AUTUMN, SPRING = datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def _nothing(ctx: dict[Any, Any]) -> None: ...


def job(**fields: Any) -> CronJob:
    return cron(_nothing, microsecond=0, **fields)


def runs(each: CronJob, begin: datetime, end: datetime, zone: Any = BERLIN) -> Iterator[datetime]:
    at = begin
    while (at := next_run(each, at, zone)) < end:
        yield at


@pytest.mark.parametrize("change", [AUTUMN, SPRING], ids=["autumn", "spring"])
@pytest.mark.parametrize("every_s", [1, 20, 60, 300, 3600])
def test_what_runs_again_and_again_takes_no_notice_of_the_clock(change: datetime, every_s: int) -> None:
    minutes = set(range(0, 60, every_s // 60)) if every_s > 60 else None
    each = job(minute=minutes, second=set(range(0, 60, every_s)) if every_s < 60 else 0)
    begin, end = change - 2 * HOUR, change + 2 * HOUR
    assert list(runs(each, begin, end)) == [begin + timedelta(seconds=every_s * number) for number in range(1, 4 * 3600 // every_s)]


@pytest.mark.parametrize("change", [AUTUMN, SPRING], ids=["autumn", "spring"])
@pytest.mark.parametrize("hour", [0, 1, 2, 3, 4, 23])
def test_what_has_an_hour_runs_once_a_day_at_that_hour(change: datetime, hour: int) -> None:
    midnight = change.astimezone(BERLIN).replace(hour=0)
    found = [at.astimezone(BERLIN) for at in runs(job(hour=hour, minute=30), midnight - 2 * 24 * HOUR, midnight + 3 * 24 * HOUR)]
    assert [at.date() for at in found] == [(midnight + number * 24 * HOUR).date() for number in range(-2, 3)]
    skipped = change is SPRING and hour == 2
    assert [(at.hour, at.minute) for at in found] == [(3 if skipped and at.date() == change.date() else hour, 30) for at in found]


def test_the_first_of_two_equal_hours_counts_whenever_the_worker_was_started() -> None:
    each, first = job(month=10, day=25, hour=2, minute=30), AUTUMN - HOUR / 2
    for begin in (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC), first - HOUR, first - timedelta(seconds=1)):
        assert next_run(each, begin, BERLIN) == first
    assert next_run(each, first, BERLIN).year == next_run(each, first + HOUR / 4, BERLIN).year == 2027


def test_the_zone_of_the_machine_changes_its_offset_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        for change in (AUTUMN, SPRING):
            begin, end = change - 48 * HOUR, change + 48 * HOUR
            for each in (job(hour=4, minute=0), job(minute=0), job(hour=2, minute=30)):
                assert list(runs(each, begin, end, None)) == list(runs(each, begin, end, BERLIN))
    finally:
        monkeypatch.undo()
        time.tzset()


@settings(max_examples=60)
@given(
    zone=st.sampled_from([BERLIN, LORD_HOWE, ZoneInfo("Asia/Kathmandu"), UTC]),
    minutes=st.integers(0, 365 * 24 * 60),
    fields=st.sampled_from([{}, {"minute": 30}, {"minute": {0, 15, 45}}, {"hour": 2}, {"hour": {1, 3}}]),
)
def test_it_is_what_one_finds_by_looking_at_each_minute(zone: Any, minutes: int, fields: dict[str, Any]) -> None:
    start = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC) + timedelta(minutes=minutes)
    at = start.replace(second=0) + timedelta(minutes=1)
    while not _fits(at.astimezone(zone), fields):
        at += timedelta(minutes=1)
    assert next_run(job(**fields), start, zone) == at


def _fits(local: datetime, fields: dict[str, Any]) -> bool:
    return all(getattr(local, name) in (wanted if isinstance(wanted, set) else {wanted}) for name, wanted in fields.items())


@pytest.mark.timeout(90)
def test_a_worker_goes_on_when_the_clock_is_put_back(tmp_path: Path) -> None:
    """A worker and a Redis whose clock is 6 s before the autumn change in Berlin."""
    server = ShiftedRedis(tmp_path)
    server.set_ahead(round(datetime(2027, 10, 31, 1, tzinfo=UTC).timestamp() - 6 - time.time()))
    with server, redis.Redis.from_url(server.url) as client:
        environ = {**server.environ, "PYTHONPATH": str(ROOT)}
        with Service("worker", "--redis", server.url, "--functions", "tests.worker.berlin", environ=environ):
            wait_until_sync(lambda: _second(client) > 4, 30)
        due = [int(score) for score in client.lrange("ticks", 0, -1)]
    seconds = [due_ms // 1000 for due_ms in due]
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))


def _second(client: Any) -> float:
    """Say how many seconds after the change the last run was due."""
    last = client.lindex("ticks", -1)
    return float(last) / 1000 - datetime(2027, 10, 31, 1, tzinfo=UTC).timestamp() if last else -1
