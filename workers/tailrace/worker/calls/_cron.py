"""When a cron job runs next by the local time of a time zone, across changes of its UTC offset."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

from arq.cron import CronJob, next_cron

_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)


def next_run(job: CronJob, after: datetime, zone: tzinfo | None = None) -> datetime:
    """Return the first time after `after` at which a job runs, in UTC. Without a `zone`, this machine's.

    A job that names its hour and minute runs once a day: in an hour that the clock shows twice the first time, and as late
    as the clock is put forward if it skips that hour. All others run whenever the clock shows a time that fits.
    """
    once = job.hour is not None and job.minute is not None
    start, offset = after.astimezone(UTC), _offset(after, zone)
    while True:
        # arq computes in local time only, which is correct while the offset stays the same.
        found = next_cron(start.astimezone(timezone(offset)), **_fields(job)).astimezone(UTC)
        change = _change(start, found, offset, zone)
        if change is None:
            if not once or not _shown_before(found, zone):
                return found
            start = found
            continue
        if once and found - change < _offset(change, zone) - offset:  # local time skips it
            return found
        start, offset = change - _SECOND, _offset(change, zone)


def _fields(job: CronJob) -> dict[str, Any]:
    return {name: getattr(job, name) for name in ("month", "day", "weekday", "hour", "minute", "second", "microsecond")}


def _offset(moment: datetime, zone: tzinfo | None) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _change(start: datetime, end: datetime, offset: timedelta, zone: tzinfo | None) -> datetime | None:
    """Return the first whole second after `start`, and up to `end`, at which the offset is another one."""
    for early, late in _days(start, end):
        if _offset(late, zone) == offset:
            continue
        low, high = math.floor(early.timestamp()), math.ceil(late.timestamp())
        while high - low > 1:
            middle = (low + high) // 2
            if _offset(datetime.fromtimestamp(middle, UTC), zone) == offset:
                low = middle
            else:
                high = middle
        return datetime.fromtimestamp(high, UTC)
    return None


def _days(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        yield start, min(start + _DAY, end)
        start += _DAY


def _shown_before(moment: datetime, zone: tzinfo | None) -> bool:
    """Say whether the clock has shown this time before, less than a day ago."""
    back = _offset(moment - _DAY, zone) - _offset(moment, zone)
    return back > timedelta() and _offset(moment - back, zone) - _offset(moment, zone) == back
