"""`tailrace dead` over letters as the worker writes them."""

import json
import re

import pytest
import redis

from tailrace.cli import main
from tailrace.queue._dead_letters import _bell
from tailrace.wire import Keys, encode_job
from tests.cli.shell import examples

KEYS = Keys()
BURIED = (
    ("job-1", "unknown function 'shout'", "$.f", encode_job("shout", [1], {}, 0), ""),
    ("job-2", "the event name 'open' is reserved", "$.event", encode_job("push", [{"to": "all"}], {}, 0), ""),
    ("job-3", "the job is pickled", "", b"\x80\x05\x95\x1b[31m", ""),
    ("job-4", "the payload is lost", "", b"", "Traceback:\n  line \x1b[0m"),
)


@pytest.fixture
def letters(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of four letters in the queue's Redis, which the commands find by the variable."""
    monkeypatch.setenv("TAILRACE_REDIS_URL", redis_url)
    with redis.Redis.from_url(redis_url) as client:
        return [
            client.xadd(
                KEYS.dead(),
                {"job": job, "reason": reason, "path": path, "queue": KEYS.queue(), "payload": payload, "traceback": traceback},
            ).decode()
            for job, reason, path, payload, traceback in BURIED
        ]


def test_list(letters: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead", "list"]) == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "SINCE", "FUNCTION", "PATH", "REASON"]
    assert [row.split()[0] for row in rows] == letters
    assert "unknown function 'shout'" in rows[0]
    assert last == "4 dead letters"


def test_what_a_later_version_adds_to_a_letter_is_ignored(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    letter = {
        "later": "1",
        "job": "j",
        "reason": "r",
        "path": "$",
        "queue": KEYS.queue(),
        "payload": encode_job("push", [{}], {}, 0),
        "x": "",
    }
    with redis.Redis.from_url(redis_url) as client:
        client.xadd(KEYS.dead(), letter)
        assert main(["dead", "list", "--json", "--redis", redis_url]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert (shown["job"], shown["reason"], shown["function"]) == ("j", "r", "push")
        assert main(["dead", "redrive", "--all", "--redis", redis_url]) == 0
        assert client.get("arq:job:j") == letter["payload"]


def test_list_of_some(letters: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead", "list", "--reason", "PICKLED", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["job"] == "job-3"
    assert main(["dead", "list", "--limit", "1"]) == 0
    assert "4 dead letters, the newest 1 shown" in capsys.readouterr().out


def test_list_of_none(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead", "list", "--redis", redis_url]) == 0
    assert capsys.readouterr().out == "0 dead letters\n"


def test_show_is_safe_to_print(letters: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead", "show", *letters]) == 0
    shown = capsys.readouterr().out
    assert "reason:    the event name 'open' is reserved" in shown
    assert "payload:   \\x80\\x05\\x95\\x1b[31m" in shown
    assert "  line \\x1b[0m" in shown
    assert "\x1b" not in shown


def test_show_of_a_letter_that_is_not_there(letters: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead", "show", "1-1"]) == 1
    assert "no dead letter 1-1" in capsys.readouterr().err


def test_redrive_puts_the_job_back_as_it_came(letters: list[str], redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(KEYS.receipt("job-1"), b"{}")
        assert main(["dead", "redrive", letters[0]]) == 0
        assert capsys.readouterr().out == "1 of 1 redriven\n"
        assert client.get("arq:job:job-1") == BURIED[0][3]
        assert 0 < client.pttl("arq:job:job-1") <= 7 * 86_400_000
        seconds, _ = client.time()
        assert client.zscore(KEYS.queue(), "job-1") == pytest.approx(seconds * 1000, abs=5000)
        assert client.llen(KEYS.bell()) == 1
        assert client.get(KEYS.receipt("job-1")) is None
        assert client.xlen(KEYS.dead()) == 3


def test_redrive_leaves_what_cannot_be_put_back(letters: list[str], redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("arq:job:job-1", b"another")
        assert main(["dead", "redrive", "--all"]) == 1
        shown = capsys.readouterr()
        assert shown.out == "2 of 4 redriven\n"
        assert f"{letters[0]} not redriven: another job has its id" in shown.err
        assert f"{letters[3]} not redriven: its payload was lost" in shown.err
        assert client.get("arq:job:job-1") == b"another"
        assert client.xlen(KEYS.dead()) == 2


def test_redrive_takes_ids_beside_flags(letters: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead", "redrive", letters[0], "--json", letters[1]]) == 0
    assert capsys.readouterr().out == "2 of 2 redriven\n"


@pytest.mark.parametrize("words", examples("dead"))
def test_examples(words: list[str], letters: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([letters[0] if re.fullmatch(r"\d+-\d", word) else word for word in words]) == 0


@pytest.mark.parametrize(
    "queue", ["", "other", "tailrace:dead", "tailrace:queue:", "tailrace:queue:0", "tailrace:queue:x", "tailrace:queue\n"]
)
def test_redrive_into_a_foreign_key_is_refused(queue: str, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.xadd(KEYS.dead(), {"job": "j", "reason": "r", "queue": queue, "payload": b"{}"})
        assert main(["dead", "redrive", "--all", "--redis", redis_url]) == 1
        assert "is no queue of this tailrace" in capsys.readouterr().err
        assert client.keys() == [KEYS.dead().encode()]


@pytest.mark.parametrize("queue", [KEYS.queue(3), KEYS.calls()])
def test_redrive_into_each_queue(queue: str, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.xadd(KEYS.dead(), {"job": "j", "reason": "r", "queue": queue, "payload": b"{}"})
        assert main(["dead", "redrive", "--all", "--redis", redis_url]) == 0
        assert client.zcard(queue) == 1


def test_purge_by_reason(letters: list[str], redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead", "purge", "--reason", "pickled"]) == 0
    assert capsys.readouterr().out == "1 deleted\n"
    with redis.Redis.from_url(redis_url) as client:
        assert [entry_id.decode() for entry_id, _ in client.xrange(KEYS.dead())] == [*letters[:2], letters[3]]


@pytest.mark.parametrize("verb", ["show", "redrive", "purge"])
def test_all_has_to_be_said(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead", verb]) == 2
    assert "--all" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("queue", "bell"),
    [(KEYS.queue(), KEYS.bell()), (KEYS.queue(3), KEYS.bell(3)), (KEYS.calls(), KEYS.calls_bell())],
)
def test_the_bell_of_the_letters_queue_is_rung(queue: str, bell: str) -> None:
    assert _bell(KEYS, queue) == bell


@pytest.mark.parametrize("verb", ["show", "redrive", "purge"])
def test_what_is_no_id_is_refused_and_touches_nothing(
    verb: str, letters: list[str], redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in (letters[0].partition("-")[0], "+", "job-1"):  # Redis takes the first for all of a millisecond
        with pytest.raises(SystemExit, match="2"):
            main(["dead", verb, word])
        assert f"invalid dead letter id {word!r}" in capsys.readouterr().err
    with redis.Redis.from_url(redis_url) as client:
        assert client.xlen(KEYS.dead()) == len(letters)


def test_since_long_ago_is_all_and_a_time_needs_its_offset(letters: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for since in ("99999d", "0001-01-01T00:00:00Z"):
        assert main(["dead", "list", "--since", since]) == 0
        assert "4 dead letters" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["dead", "list", "--since", "2026-01-31T12:00:00"])
    assert "expected an offset, such as 2026-01-31T12:00:00Z" in capsys.readouterr().err
