"""Judging jobs from what they hold, and sorting batches by what is known beside."""

import json
from typing import Any

from hypothesis import example, given, strategies as st

from tailrace.events import AWAY
from tailrace.queue import Taken, TakenJob
from tailrace.wire import JobState, PushJob, decode_receipt
from tailrace.worker.pushes._classify import Bury, Deliver, Facts, Move, asked, judge, judge_batch, left_out, skipped, sort
from tests.worker.support import payload

NOTHING = Facts({}, {}, [(0, 0)])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
pushes = st.fixed_dictionaries({}, optional=dict.fromkeys(("to", "event", "data", "text", "key", "expires_s", "stamp", "x"), anything))
jobs = st.fixed_dictionaries(
    {"f": st.sampled_from(["push", "push_many", "say", "x"]) | anything},
    optional={"a": st.lists(pushes | anything) | anything, "k": anything, "t": anything, "et": anything},
)


def taken(*payloads: bytes | None, due_ms: float = 0, now_ms: float = 0, deaths: int = 0) -> Taken:
    found = [TakenJob(index, f"1.{index}", b"%d" % index, due_ms, text) for index, text in enumerate(payloads, 1)]
    return Taken("1.1", deaths, now_ms, tuple(found))


@given(st.binary() | jobs.map(lambda job: json.dumps(job).encode()) | st.none())
@example(b"\x80\x05")
@example(b'{"f":"push","a":[{"to":"a","data":1e999}]}')
@example(b'{"f":"push","a":[{"to":"a","data":{"a":1,"a":"\\udc00"}}]}')
def test_no_job_makes_a_worker_stumble(text: bytes | None) -> None:
    batch = taken(text)
    judged = judge_batch(batch.jobs, batch.now_ms, batch.deaths, {})
    asked(judged, {})
    endings, deliveries = sort(batch.now_ms, judged, NOTHING)
    assert len(endings) + len(deliveries) == 1
    if endings and endings[0].reason:
        assert decode_receipt(endings[0].receipt).state is JobState.DEAD


def test_verdicts() -> None:
    push = {"to": "a", "data": 1}
    assert isinstance(judge(payload("push", push)), Deliver)
    assert judge(payload("say", push)) == Move()
    assert judge(payload("push", {"to": 1}, receipt="me")) == Bury("Expected `str`, got `int`", "$.to", "me")
    unknown = judge(payload("push", push, receipt="me", later=1))
    assert isinstance(unknown, Bury)
    assert (unknown.path, unknown.listener) == ("$.k.later", "me")


def push(to: str, expires_s: float | None = None) -> PushJob:
    return PushJob(to=to, text="x", expires_s=expires_s)


def test_who_is_left_out() -> None:
    there = {"client:here": 1, "client:away": AWAY, "client:gone": 0}
    given_ = [push("a"), push("a", 1), push("a", 2), *[push(channel) for channel in there]]
    out = left_out(given_, 1500, there)
    assert {index: receipt.status for index, receipt in out.items()} == {1: "info", 5: "error"}


def test_deaths_and_what_is_begun() -> None:
    bad, good = b"{", payload("push", {"to": "a", "data": 1, "expires_s": 1})
    late = {"due_ms": 0.0, "now_ms": 5000.0}

    def fate(batch: Taken, begun: dict[str, set[int]]) -> Any:
        endings, deliveries = sort(batch.now_ms, judge_batch(batch.jobs, batch.now_ms, batch.deaths, begun), Facts(begun, {}, [(0, 0)]))
        return deliveries or endings[0].reason

    assert "died" in fate(taken(good, deaths=3), {})
    assert fate(taken(good, deaths=2, **late), {}) == ""  # expired
    assert fate(taken(good, deaths=3, **late), {"1.1": {0}})  # begun, so it ends whole
    assert "truncated" in fate(taken(bad, deaths=2), {})


def test_what_a_shard_would_hold_before_its_last_was_left_out() -> None:
    two = [push("a"), push("a", 60), push("a"), push("a")]
    facts = Facts({"1.5": {2}}, {}, [(5, 2)])
    assert {index: receipt.status for index, receipt in skipped("1.5", two, facts).items()} == {0: "error", 1: "info"}
    assert skipped("1.6", two, facts) == {}
    assert len(skipped("1.4", two, facts)) == 4
