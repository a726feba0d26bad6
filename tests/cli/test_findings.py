"""What doctor thinks, from values alone."""

from typing import Any

import pytest

from tailrace.cli._findings import Proxied, Verdict, judge_clock, judge_files, judge_limits, judge_proxy, judge_queue, judge_server

GOOD = {
    "redis_version": "7.2.4",
    "maxmemory": 1000,
    "used_memory": 100,
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "role": "master",
}
STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def test_good_server_is_fine() -> None:
    assert {finding.verdict for finding in judge_server(GOOD)} == {Verdict.OK}


@pytest.mark.parametrize(
    ("change", "verdict", "said"),
    [
        ({"redis_version": "6.2.14"}, Verdict.WRONG, "Redis 6.2.14 is too old"),
        ({"valkey_version": "7.2.9"}, Verdict.WRONG, "Valkey 7.2.9 is too old"),
        ({"role": "slave"}, Verdict.WRONG, "replica"),
        ({"maxmemory_policy": "allkeys-lru"}, Verdict.WRONG, "deletes events"),
        ({"maxmemory_policy": "volatile-ttl"}, Verdict.WRONG, "deletes events"),
        ({"maxmemory": 0}, Verdict.WARNING, "maxmemory is 0"),
        ({"used_memory": 800}, Verdict.WRONG, "80% of maxmemory"),
        ({"aof_enabled": 0}, Verdict.WARNING, "append-only file is off"),
        ({"aof_last_write_status": "err"}, Verdict.WRONG, "failed"),
    ],
)
def test_bad_server_is_told_and_what_to_change(change: dict[str, Any], verdict: Verdict, said: str) -> None:
    (finding,) = [found for found in judge_server({**GOOD, **change}) if found.verdict is not Verdict.OK]
    assert finding.verdict is verdict
    assert said in finding.what
    assert finding.cure


def test_limits() -> None:
    assert list(judge_limits({"timeout": "0", "maxclients": "10000"})) == []
    assert list(judge_limits({})) == []
    assert [found.cure for found in judge_limits({"timeout": "300", "maxclients": "100"})] == [
        "CONFIG SET timeout 0",
        "CONFIG SET maxclients 10000",
    ]


@pytest.mark.parametrize(("skew_s", "verdict"), [(0.01, "ok"), (-0.7, "warning"), (9, "wrong")])
def test_clock(skew_s: float, verdict: str) -> None:
    assert judge_clock(skew_s).verdict == verdict


@pytest.mark.parametrize(("hard", "verdict"), [(1024, "warning"), (1 << 20, "ok"), (-1, "ok")])
def test_files(hard: int, verdict: str) -> None:
    assert judge_files(hard).verdict == verdict


def test_queue() -> None:
    assert [found.verdict for found in judge_queue(foreign=0, workers=1, waiting=3, unserved=[], dead=0)] == ["ok"]
    found = list(judge_queue(foreign=1, workers=0, waiting=3, unserved=[], dead=2))
    assert [each.verdict for each in found] == ["wrong", "warning", "warning"]
    assert "queue_name" in found[0].cure
    (wrong, _) = judge_queue(foreign=0, workers=1, waiting=3, unserved=[], dead=0, overwritten=["tailrace:calls"])
    assert (wrong.verdict, "tailrace:calls" in wrong.what) == ("wrong", True)


@pytest.mark.parametrize(
    ("seen", "verdicts", "said"),
    [
        (Proxied(200, STREAM, 0.02, sent=True, event_s=0.01), ["ok"], "at once"),
        (Proxied(200, STREAM, 0.02), ["warning"], "--redis"),
        (Proxied(200, STREAM), ["wrong"], "proxy_buffering off"),
        (Proxied(200, STREAM, 4), ["wrong"], "after 4.0 s"),
        (Proxied(200, STREAM, 0.02, sent=True), ["wrong"], "one sent did not come"),
        (Proxied(200, {**STREAM, "content-encoding": "gzip"}, 0.02, sent=True, event_s=0.01), ["warning", "ok"], "compress"),
        (Proxied(0, {}), ["wrong"], "not even"),
        (Proxied(404, {"content-type": "text/html"}), ["wrong"], "404"),
        (Proxied(200, {}), ["wrong"], "not an event stream"),
    ],
)
def test_proxy(seen: Proxied, verdicts: list[str], said: str) -> None:
    found = list(judge_proxy(seen))
    assert [each.verdict for each in found] == verdicts
    assert said in found[0].what + found[0].cure
