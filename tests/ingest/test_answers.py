import pytest
from msgspec import UNSET
from redis.exceptions import ConnectionError as RedisConnectionError

from tailrace.ingest import _answers as answers
from tailrace.push import Batch, Job, Pusher, RedisAwayError
from tailrace.wire import JobReceipt, JobState, Receipt


def _end(state: JobState, **fields: str) -> JobReceipt:
    return JobReceipt("j", state, [Receipt(**{"status": "error", "message": "m", **fields})])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("end", "status", "path"),
    [
        (_end(JobState.APPENDED, status="success"), 200, UNSET),
        (_end(JobState.APPENDED, status="info"), 200, UNSET),
        (_end(JobState.EXPIRED, to="client:x"), 404, "$.to"),
        (_end(JobState.EXPIRED, to="client:x", status="info"), 410, "$"),
        (_end(JobState.EXPIRED, to="room:1", status="info"), 410, "$"),
        (JobReceipt("j", JobState.CANCELLED), 409, "$"),
        (_end(JobState.DEAD, path="$.event"), 422, "$.event"),
        (_end(JobState.DEAD), 500, "$"),
        (_end(JobState.DEAD, path="$"), 500, "$"),
    ],
)
def test_a_job_that_ended(end: JobReceipt, status: int, path: str) -> None:
    answer = answers.ended(end)
    assert (answer.status, answer.body.path) == (status, path)
    assert status == 200 or answer.body.status == "error"


@pytest.mark.parametrize(
    ("state", "status"),
    [(None, 404), (JobState.CANCELLED, 200), (JobState.QUEUED, 409), (JobState.APPENDED, 409), (JobState.DEAD, 409)],
)
def test_cancelling(state: JobState | None, status: int) -> None:
    assert answers.cancelled("j", state).status == status


def test_an_array_that_became_several_jobs_says_which_push_is_where() -> None:
    pusher = Pusher("redis://127.0.0.1:1/0")
    batch = Batch([Job(pusher, "a"), Job(pusher, "b")], [(0, 0), (1, 0), (0, 1)])
    answer = answers.accepted(batch, scheduled=True)
    assert answer.body.jobs == ["a", "b", "a"]
    assert (answer.body.job, answer.headers["Location"]) == ("a", "/jobs/a")


def test_whether_something_was_enqueued_is_said_as_far_as_it_is_known() -> None:
    assert RedisAwayError("x", uncertain=False).public == "Redis is away: nothing was enqueued"
    assert "isn't known" in RedisAwayError("x", uncertain=True).public
    assert answers.redis_trouble(RedisConnectionError("x")).body.message == "Redis is away"
