"""`tailrace tail` and `tailrace clients` beside real logs and a real registry."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest
import redis

from tailrace.cli import _tail, main
from tailrace.cli._locate import Target
from tailrace.events import LogWriter, NewEvent, Registry
from tailrace.redis import check_layout, connect
from tailrace.wire import ClientEntry, Keys, encode_json_block, encode_text_block, registered_name
from tests.support.redis import RedisServer
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
KEYS = Keys()


@contextmanager
def tailing(url: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "tailrace.cli", "tail", "--redis", url, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "TZ": "UTC"}) as process:
        try:
            yield process
        finally:
            process.kill()


async def line(process: "subprocess.Popen[bytes]") -> str:
    stream = process.stdout
    assert stream is not None
    with anyio.fail_after(10):
        return (await anyio.to_thread.run_sync(stream.readline)).decode().rstrip("\n")


async def append(url: str, *events: tuple[str, bytes], shard: int = 0) -> None:
    async with connect(url) as client:
        await LogWriter(client, KEYS, shard).append([NewEvent(str(number), *event) for number, event in enumerate(events)])


async def test_events_are_printed_as_they_come(redis_url: str) -> None:
    await append(redis_url, ("all", encode_json_block("message", b'{"n":0}')))
    with tailing(redis_url) as process:
        await reading(redis_url)
        await append(redis_url, ("room:1", encode_json_block("chat", b'{"n":1}')), ("all", encode_text_block("note", "a\n\x1b[0m")))
        assert (await line(process))[8:] == ' room:1 chat {"n":1}'
        assert (await line(process))[8:] == " all note a\\n\\x1b[0m"
        process.send_signal(2)
        assert process.wait(10) == 0


async def test_what_others_wrote_into_the_log_neither_ends_it_nor_reaches_the_terminal(redis_url: str) -> None:
    await append(redis_url, ("a\x1b[2J", b"event: message\ndata: \xff\n\n"))
    with tailing(redis_url, "--last", "1") as process:
        assert (await line(process))[8:] == " a\\x1b[2J message \ufffd"


async def test_last_channel_and_json(redis_url: str) -> None:
    block = encode_json_block("message", b'{"n":1}')
    await append(redis_url, *[(channel, block) for channel in ("a", "b", "c")], ("b", encode_text_block("note", '"open\nend')))
    with tailing(redis_url, "--last", "3", "--channel", "b", "--json") as process:
        seen = [json.loads(await line(process)) for _ in range(2)]
    assert [(each["channel"], each["event"], each["data"], each["shard"]) for each in seen] == [
        ("b", "message", {"n": 1}, 0),
        ("b", "note", '"open\nend', 0),
    ]


async def test_every_shard_is_followed(redis_url: str) -> None:
    async with connect(redis_url) as client:
        await check_layout(client, KEYS, 3)
    with tailing(redis_url) as process:
        await reading(redis_url)
        for shard in range(3):
            await append(redis_url, (f"shard-{shard}", encode_json_block("message", b"1")), shard=shard)
            assert f"shard-{shard}" in await line(process)


async def test_a_redis_that_goes_away_is_waited_for(redis_server: RedisServer) -> None:
    with tailing(redis_server.url) as process:
        await reading(redis_server.url)
        await append(redis_server.url, ("a", encode_json_block("message", b"1")))
        assert " a message 1" in await line(process)
        redis_server.stop()
        redis_server.start()
        await append(redis_server.url, ("b", encode_json_block("message", b"2")))
        assert " b message 2" in await line(process)


async def test_what_is_waited_for_is_told_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_tail, "_RETRY_S", 0)
    troubles = [OSError("no answer."), OSError("no answer."), OSError("loading")]

    async def work() -> None:
        if troubles:
            raise troubles.pop(0)

    await _tail._Tail(Target("redis://a", prefix="tailrace"), argparse.Namespace(channel=None, last=0, json=False))._patiently(work)
    assert capsys.readouterr().err.splitlines() == [
        "tailrace tail: waiting for redis://a: no answer",
        "tailrace tail: waiting for redis://a: loading",
    ]


async def reading(url: str) -> None:
    """Wait until somebody blocks on this Redis' streams."""
    with redis.Redis.from_url(url) as client:
        await wait_until(lambda: client.info("clients")["blocked_clients"])


async def register(url: str) -> None:
    async with connect(url) as client:
        entries = {"client-1": ClientEntry(0, ["room:1", "all", "client:client-1"]), "client-2": ClientEntry(1, ["all", "client:client-2"])}
        await Registry(client, KEYS).register("edge-1", entries, {"all": 2}, whole=True)


def test_clients(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(register, redis_url)
    assert main(["clients", "--redis", redis_url]) == 0
    head, first, second, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["CLIENT", "EDGE", "SINCE", "CHANNELS"]
    assert first.split() == ["client-1", "edge-1", "1970-01-01", "00:00:00", "room:1", "all", "client:client-1"]
    assert second.startswith("client-2")
    assert last == "2 clients on 1 edge"


def test_clients_of_a_channel_with_a_long_name(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    long = "room:" + "x" * 100

    async def register_long() -> None:
        async with connect(redis_url) as client:
            entries = {"in": ClientEntry(0, [registered_name(long), "all"]), "unlisted": ClientEntry(1, ["all"], listed=False)}
            await Registry(client, KEYS).register("edge-1", entries, {"all": 2}, whole=True)

    anyio.run(register_long)
    assert main(["clients", "--redis", redis_url, "--channel", long, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["client"] == "in"
    assert main(["clients", "--redis", redis_url]) == 0
    _, first, second, _ = capsys.readouterr().out.splitlines()
    assert first.split()[4:] == [registered_name(long), "all"]
    assert second.split()[4:] == ["all", "..."]


def test_clients_of_a_channel_as_json(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    anyio.run(register, redis_url)
    assert main(["clients", "--redis", redis_url, "--channel", "room:1", "--json"]) == 0
    (only,) = capsys.readouterr().out.splitlines()
    assert json.loads(only) == {"client": "client-1", "edge": "edge-1", "since": 0, "channels": ["room:1", "all", "client:client-1"]}
