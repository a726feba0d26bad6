from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st
from msgspec import Raw

from tailrace.push import PushError
from tailrace.push._ids import JobIds
from tailrace.push._planner import Plan, Planner, due
from tailrace.wire import PushRequest, bucket, decode_job, decode_pushes

NOW_MS = 1_000_000


def _plan(requests: list[PushRequest], partitions: int = 1) -> Plan:
    return Planner(partitions, "me", JobIds().next).plan(requests, NOW_MS, many=True, receipt=True)


def _request(channel: int, delay_s: float, data: int) -> PushRequest:
    return PushRequest(to=f"room:{channel}", data=Raw(str(data).encode()), delay_s=delay_s)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.0, 1.0, 2.5])), max_size=40), st.integers(1, 4))
def test_each_push_stands_once_at_its_place(wishes: list[tuple[int, float]], partitions: int) -> None:
    requests = [_request(channel, delay_s, index) for index, (channel, delay_s) in enumerate(wishes)]
    jobs, places = _plan(requests, partitions)
    carried = [decode_pushes(decode_job(job.payload)).pushes for job in jobs]
    assert [carried[job][place] for job, place in places] == [request.job() for request in requests]
    assert sum(map(len, carried)) == len(requests)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.0, 1.0, 2.5])), max_size=40), st.integers(1, 4))
def test_a_job_has_one_partition_and_one_time_and_keeps_the_order(wishes: list[tuple[int, float]], partitions: int) -> None:
    requests = [_request(channel, delay_s, index) for index, (channel, delay_s) in enumerate(wishes)]
    jobs, places = _plan(requests, partitions)
    for number, job in enumerate(jobs):
        mine = [index for index, (owner, _) in enumerate(places) if owner == number]
        assert [places[index][1] for index in mine] == list(range(len(mine)))
        assert {bucket(requests[index].to, partitions) for index in mine} == {job.partition}
        assert {due(requests[index], NOW_MS) for index in mine} == {job.due}


def test_due_is_now_or_from_redis_now_or_a_time() -> None:
    assert due(PushRequest(to="a"), NOW_MS) == ""
    assert due(PushRequest(to="a", delay_s=0), NOW_MS) == ""
    assert due(PushRequest(to="a", delay_s=1.5), NOW_MS) == "+1500"
    assert due(PushRequest(to="a", at=datetime(1970, 1, 1, 0, 1, tzinfo=UTC)), NOW_MS) == "60000"


def test_a_time_that_cannot_be_names_its_push() -> None:
    naive = PushRequest(to="a", at=datetime(2026, 1, 1))  # noqa: DTZ001 - the fault that is looked for
    with pytest.raises(PushError) as caught:
        _plan([PushRequest(to="a"), naive])
    assert caught.value.path == "$[1].at"


def test_nobody_listens_where_no_receipt_is_wanted() -> None:
    plan = Planner(1, "me", JobIds().next).plan([_request(1, 0, 1)], NOW_MS, many=False, receipt=False)
    assert decode_pushes(decode_job(plan.jobs[0].payload)).listener is None
