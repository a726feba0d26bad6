"""`tailrace push` and `tailrace call`, up to the queue; `test_up.py` sees them through to the browser's side."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from tailrace.cli import main
from tailrace.wire import Keys
from tests.cli.shell import examples

KEYS = Keys()


@pytest.fixture(autouse=True)
def client(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("TAILRACE_REDIS_URL", redis_url)
    with redis.Redis.from_url(redis_url) as client:
        yield client


def job_in(client: Any, queue: str) -> dict[str, object]:
    (job,) = client.zrange(queue, 0, -1)
    payload: dict[str, object] = json.loads(client.get(b"arq:job:" + job))
    return payload


def test_push_is_enqueued(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", "--to", "room:1", "--event", "chat", "--key", "k", "--no-stamp", "--wait", "0", '{"text": "hi"}']) == 0
    assert capsys.readouterr().out.startswith("enqueued: job ")
    job = job_in(client, KEYS.queue())
    assert (job["f"], job["k"]) == ("push", {})
    assert job["a"] == [{"to": "room:1", "event": "chat", "key": "k", "stamp": False, "data": {"text": "hi"}}]


def test_text_from_stdin(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"<p>\nHello</p>")))
    assert main(["push", "--to", "all", "--text", "--wait", "0", "-"]) == 0
    assert job_in(client, KEYS.queue())["a"] == [{"to": "all", "text": "<p>\nHello</p>"}]


def test_later(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    assert main(["push", "--to", "all", "--in", "10s", "1"]) == 0
    assert main(["push", "--to", "all", "--at", tomorrow.isoformat(), "1"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["enqueued:", "enqueued:"]
    (_, soon), (_, late) = client.zrange(KEYS.queue(), 0, -1, withscores=True)
    assert soon == pytest.approx(client.time()[0] * 1000 + 10_000, abs=3_000)
    assert late == tomorrow.timestamp() * 1000


@pytest.mark.parametrize("command", [["push", "--to", "all", "1"], ["call", "greet"]])
def test_no_worker(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--wait", "0.1"]) == 1
    assert "no receipt within 0.1 s; is a worker running?" in capsys.readouterr().out


@pytest.mark.parametrize("words", examples("push"))
def test_examples_of_push(words: list[str], client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"today")))
    assert main([*words, "--wait", "0"]) == 0
    assert client.zcard(KEYS.queue()) == 1


@pytest.mark.parametrize("words", examples("call"))
def test_examples_of_call(words: list[str], client: Any) -> None:
    assert main([*words, "--wait", "0"]) == 0
    plain = words[: words.index("--kwargs")] if "--kwargs" in words else words
    expected = [json.loads(word) for word in plain if word.startswith(("{", '"'))]
    job = job_in(client, KEYS.calls())
    assert (job["a"], bool(job["k"])) == (expected, "--kwargs" in words)


@pytest.mark.parametrize("options", [[], ["--text"]])
def test_stdin_that_is_not_utf8(options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\xff")))
    assert main(["push", "--to", "all", *options, "-"]) == 2
    assert capsys.readouterr().err == "tailrace push: DATA on stdin is not UTF-8: invalid start byte at byte 1\n"


def test_argument_that_is_not_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", "--to", "all", "--text", "a\udcff"]) == 2
    assert capsys.readouterr().err == "tailrace push: 'a\\udcff' is not UTF-8\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--to", "all", "{oops"], 2, "DATA is not JSON"),
        (["--to", "all", "[" * 100_000], 2, "DATA is not JSON"),
        (["--to", "bad channel", "1"], 2, "$.to"),
        (["--to", "all", "--event", "open", "1"], 2, "$.event"),
        (["--to", "all", "--at", "2100-01-01T00:00:00", "1"], 2, "$.at"),
        (["--to", "all", "1", "--redis", "127.0.0.1:6379"], 2, "bad Redis URL"),
        (["--to", "all", "hello"], 2, "use --text to send text"),
    ],
)
def test_bad_push_is_told_and_not_enqueued(
    arguments: list[str], status: int, said: str, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", *arguments]) == status
    assert said in capsys.readouterr().err
    assert client.zcard(KEYS.queue()) == 0


def test_text_is_nothing_to_call_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "greet", "hello"]) == 2
    said = capsys.readouterr().err
    assert "DATA is not JSON" in said
    assert "--text" not in said  # which only `push` has


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--in", "soon"], "invalid duration 'soon': expected a time such as 10s"),
        (["--in", "1s", "--at", "2100-01-01T00:00:00Z"], "not allowed with argument"),
        (["--at", "noon"], "--at: invalid time 'noon': expected RFC 3339, such as 2026-01-31T12:00:00Z"),
        (["--wait", "nan"], "--wait: invalid number of seconds 'nan': expected 0 or more"),
        (["--wait", "inf"], "--wait: invalid number of seconds 'inf'"),
        (["--wait=-1"], "--wait: invalid number of seconds '-1'"),
        (["--wait", "long"], "--wait: invalid number of seconds 'long'"),
        ([], "required: --to"),
    ],
)
def test_bad_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    to = ["--to", "all"] if arguments else []
    with pytest.raises(SystemExit, match="2"):
        main(["push", *to, *arguments, "1"])
    shown = capsys.readouterr().err
    assert shown.endswith("; see `tailrace push --help`\n")
    assert said in shown


def test_redis_away(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.cli._enqueue._REDIS_S", 0.1)
    assert main(["push", "--to", "all", "--redis", "redis://127.0.0.1:1/0", "1"]) == 1
    said = capsys.readouterr().err
    assert "not enqueued: Redis is away: nothing was enqueued" in said
    assert "tailrace up" not in said


def test_redis_away_at_the_default_address(capsys: pytest.CaptureFixture[str], nowhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.cli._enqueue._REDIS_S", 0.1)
    assert main(["push", "--to", "all", "1"]) == 1
    assert capsys.readouterr().err.endswith("; start `tailrace up`, or pass --redis\n")


def test_call_is_enqueued(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["call", "greet", '{"name": "Ada"}', "--job-id", "greet-1", "--wait", "0"]
    assert main(call) == 0
    assert capsys.readouterr().out == "enqueued: job greet-1\n"
    assert main(call) == 0
    assert capsys.readouterr().out == "not enqueued: job greet-1 already exists\n"
    job = job_in(client, KEYS.calls())
    assert (job["f"], job["a"]) == ("greet", [{"name": "Ada"}])


def test_call_with_any_arguments(client: Any) -> None:
    assert main(["call", "send", "1", "[2]", "--kwargs", '{"receipt": "theirs"}', "--wait", "0"]) == 0
    job = job_in(client, KEYS.calls())
    assert (job["a"], job["k"], job["receipt"]) == ([1, [2]], {"receipt": "theirs"}, None)


@pytest.mark.parametrize("given", [["--kwargs", "[1]"], ["--kwargs", "{oops"], ["-", "-"]])
def test_bad_arguments_of_a_call_are_refused(given: list[str], client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "send", *given]) == 2
    assert ("--kwargs is not a JSON object" if "--kwargs" in given else "only one DATA") in capsys.readouterr().err
    assert client.zcard(KEYS.calls()) == 0


def test_call_without_argument(client: Any) -> None:
    assert main(["call", "nightly", "--in", "5m"]) == 0
    assert job_in(client, KEYS.calls())["a"] == []
