"""Every service under a Redis user of its own, with the permissions of `deploy/redis`."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import anyio
import httpx
import pytest
import redis
from redis.exceptions import NoPermissionError, ResponseError

from tailrace.push import Push, Pusher
from tailrace.redis import connect
from tailrace.wire import JobState, Keys
from tests.support.redis import KEPT, Kind, RedisServer
from tests.support.service import Service
from tests.support.sse import SSEClient
from tests.support.wait import wait_until, wait_until_sync

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
ROOT = Path(__file__).parents[2]
FILES = ROOT / "deploy" / "redis"
USERS = ("edge", "worker", "ingest", "producer", "operator")
KEYS = Keys()
DENIED = "ACL failure|The user executing the script can't|not allowed from script"
LIBRARY = "client|setinfo"
"""What redis-py tells of itself to a newer Redis; it goes on where that is denied, and Redis 7.0 doesn't know the command."""


def users(prefix: str = "tailrace") -> str:
    """Return the users' file that an operator makes of these files, as their README says, with a password for each user."""
    lines = [(FILES / f"{user}.acl").read_text().replace("tailrace:", f"{prefix}:") for user in USERS]
    return "".join([line.replace(" on ", f" on >{user}-secret ", 1) for user, line in zip(USERS, lines, strict=True)])


class System:
    """A server that knows the users, and the services that run under them."""

    def __init__(self, kind: Kind, *arguments: str) -> None:
        self._kind: Kind = kind
        self._arguments = arguments
        self.server = RedisServer(kind, *arguments)

    def url(self, user: str) -> str:
        return f"redis://tailrace-{user}:{user}-secret@127.0.0.1:{self.server.port}/0"

    def service(self, command: str, *arguments: str) -> Service:
        return Service(command, "--redis", self.url(command), *arguments)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line as the operator."""
        command = [sys.executable, "-m", "tailrace.cli", *arguments, "--redis", self.url("operator")]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def fail_over(self) -> None:
        """Let a replica take the place of the primary, at its address and with its users."""
        with ExitStack() as stack:
            replica = stack.enter_context(RedisServer(self._kind, *self._arguments))
            with redis.Redis.from_url(self.server.url) as primary, redis.Redis.from_url(replica.url) as other:
                other.replicaof("127.0.0.1", self.server.port)
                wait_until_sync(lambda: primary.info("replication").get("slave0", {}).get("state") == "online")
                other.replicaof("NO", "ONE")
                wait_until_sync(
                    lambda: not any(other.info("persistence")[f"aof_rewrite_{state}"] for state in ("in_progress", "scheduled"))
                )
            replica.kill()
            self.server.kill()
            shutil.rmtree(self.server.data_dir)
            shutil.copytree(replica.data_dir, self.server.data_dir)
        self.server.start()

    def denied(self) -> set[str]:
        """Return what Redis denied since this was last asked, as `user: object (context)`."""
        with redis.Redis.from_url(self.server.url, decode_responses=True) as admin:
            found = admin.acl_log()
            admin.acl_log_reset()
        lines = {
            f"{each['username']}: {each['reason']} {each['object']} ({each['context']})" for each in found if each["object"] != LIBRARY
        }
        print(*sorted(lines), sep="\n")
        return lines


@pytest.fixture(params=["valkey", "redis"])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    kind: Kind = request.param
    listed = tmp_path / "users.acl"
    listed.write_text(users())
    system = System(kind, *KEPT, "--repl-diskless-sync-delay", "0", "--aclfile", str(listed))
    with system.server:
        yield system
        system.denied()  # shows why a test has failed


async def test_a_whole_system_works_under_its_users_and_asks_for_nothing_it_may_not(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_context
        worker = enter(system.service("worker", "--functions", "tests.push.functions"))
        edge, ingest = enter(system.service("edge")), enter(system.service("ingest"))
        pusher = await stack.enter_async_context(Pusher(system.url("producer")))
        client = await stack.enter_async_context(SSEClient(f"{edge.url}/sse", channel=["a", "b", "room:greetings"]))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=ingest.url))
        await client.next("connect")
        await _pushes_arrive(pusher, http, client)
        await _calls_and_cancels(system, pusher, http, client)
        await _replays(edge, pusher, client)
        await _commands(system, pusher)
        assert system.denied() == {"tailrace-producer: command info (toplevel)"}, worker.stderr
        assert "the Redis user may not run INFO: pushes aren't refused" in caplog.text
        system.server.kill()
        system.server.start()
        await _goes_on(pusher, client, "after the restart")
        system.fail_over()
        await _goes_on(pusher, client, "after the failover")
        assert system.denied() == set(), worker.stderr


async def _pushes_arrive(pusher: Pusher, http: httpx.AsyncClient, client: SSEClient) -> None:
    receipt = await (await pusher.push("a", {"n": 1}, key="once")).receipt()
    assert receipt is not None
    assert (receipt.state, (await client.data())["n"]) == (JobState.APPENDED, 1)
    repeated = await (await pusher.push("a", {"n": 1}, key="once")).receipt()
    assert repeated is not None
    await pusher.push_many([Push(to="a", data={"n": 2}), Push(to="b", data={"n": 3}), Push(to="all", data={"n": 4})])
    assert [(await client.data())["n"] for _ in range(3)] == [2, 3, 4]
    answer = await http.post("/push", json={"to": "a", "data": {"n": 5}})
    assert (answer.status_code, (await client.data())["n"]) == (200, 5)
    scheduled = await pusher.push("a", {"n": 6}, delay_s=0.5)
    waiting = await scheduled.status()
    assert waiting is not None
    assert waiting.state is JobState.SCHEDULED
    assert (await client.data())["n"] == 6


async def _calls_and_cancels(system: System, pusher: Pusher, http: httpx.AsyncClient, client: SSEClient) -> None:
    call = await pusher.call("greet", {"name": "Ann"}, job_id="greeting")
    greeted = await call.receipt()
    assert greeted is not None
    assert (greeted.state, (await client.data())["hello"]) == (JobState.APPENDED, "Ann")
    later = await http.post("/push", json={"to": "a", "data": {"n": 7}, "delay_s": 60})
    assert (await http.get(later.headers["location"])).json()["state"] == "scheduled"
    assert (await http.delete(later.headers["location"])).status_code == 200
    async with Pusher(system.url("operator")) as operator:
        again = await operator.push("a", {"n": 8}, delay_s=60)
        assert await again.cancel() is JobState.CANCELLED


async def _replays(edge: Service, pusher: Pusher, client: SSEClient) -> None:
    await client.drop()
    await (await pusher.push("a", {"n": 9})).receipt()
    await client.reconnect()
    assert (await client.data())["n"] == 9
    async with SSEClient(f"{edge.url}/sse", channel="a", rewind=2) as rewound:
        assert [(await rewound.data())["n"] for _ in range(3)] == [4, 6, 9]  # the last two of `a` and of `all`


async def _commands(system: System, pusher: Pusher) -> None:
    bad = await (await pusher.call("greet", {"name": 5})).receipt()
    assert bad is not None
    assert bad.state is JobState.DEAD

    async def run(*arguments: str) -> str:
        done = await anyio.to_thread.run_sync(lambda: system.run(*arguments))
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    (letter,) = [json.loads(line) for line in (await run("dead", "list", "--json")).splitlines()]
    assert "greet" in await run("dead", "show", letter["id"])
    await run("dead", "redrive", letter["id"])
    await wait_until(lambda: _dead(system) == 1)
    await run("dead", "purge", "--all")
    assert _dead(system) == 0
    assert "room:greetings" in await run("clients")
    assert "the Redis user may not append events" in await run("doctor")
    await run("push", "--to", "quiet", "{}")
    await run("call", "greet", '{"name": "Bob"}')
    tail = subprocess.Popen(
        [sys.executable, "-m", "tailrace.cli", "tail", "--last", "1", "--redis", system.url("operator")], stdout=subprocess.PIPE, text=True
    )
    assert tail.stdout is not None
    with tail.stdout:
        assert "Bob" in await anyio.to_thread.run_sync(tail.stdout.readline)
        tail.kill()
        tail.wait()


def _dead(system: System) -> int:
    with redis.Redis.from_url(system.server.url) as admin:
        return int(admin.xlen(KEYS.dead()))


async def _goes_on(pusher: Pusher, client: SSEClient, text: str) -> None:
    receipt = await (await pusher.push("b", {"n": text})).receipt(15)
    assert receipt is not None
    assert receipt.state is JobState.APPENDED
    await wait_until(lambda: any(event.event == "message" and text in event.data for event in client.events), 15)


async def test_under_another_prefix_the_files_work_once_it_is_replaced(system: System, tmp_path: Path) -> None:
    with redis.Redis.from_url(system.server.url) as admin:
        (tmp_path / "users.acl").write_text(users("shop"))
        admin.acl_load()
    shop = ("--prefix", "shop")
    async with AsyncExitStack() as stack:
        worker, edge = stack.enter_context(system.service("worker", *shop)), stack.enter_context(system.service("edge", *shop))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=stack.enter_context(system.service("ingest", *shop)).url))
        client = await stack.enter_async_context(SSEClient(f"{edge.url}/sse", channel="a"))
        await client.next("connect")
        assert (await http.post("/push", json={"to": "a", "data": {"n": 1}})).status_code == 200
        assert (await client.data())["n"] == 1
        later = await http.post("/push", json={"to": "a", "data": {"n": 2}, "delay_s": 60})
        assert (await http.get(later.headers["location"])).json()["state"] == "scheduled"
        assert (await http.delete(later.headers["location"])).status_code == 200
        assert (await http.get("/jobs/unknown")).status_code == 404
    assert system.denied() == set(), worker.stderr


LOG, GEN, HISTORY, LAST = KEYS.log(0), KEYS.generations(0), KEYS.history(0, "a"), KEYS.last(0, "a")
JOB, RECEIPT = "arq:job:j", KEYS.receipt("j")
NOTHING = [
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("SCAN", "0"),
    ("RANDOMKEY",),
    ("CONFIG", "SET", "maxmemory", "1"),
    ("ACL", "SETUSER", "default", "off"),
    ("SHUTDOWN",),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("CLIENT", "LIST"),
    ("MONITOR",),
    ("FUNCTION", "LIST"),
    ("SCRIPT", "FLUSH"),
    ("DEL", LOG),
    ("XDEL", LOG, "1-1"),
    ("RENAME", LOG, "tailrace:x"),
    ("RESTORE", LOG, "0", ""),
    ("SET", "other:key", "1"),
    ("GET", "other:key"),
    ("DEL", GEN),
    ("DEL", KEYS.layout()),
    ("DEL", KEYS.queue()),
    ("DEL", KEYS.line()),
]
"""What no user may do."""
READS_LOG = [("XRANGE", LOG, "-", "+"), ("XREVRANGE", LOG, "+", "-"), ("XREAD", "STREAMS", LOG, "0"), ("XRANGE", HISTORY, "-", "+")]
WRITES_LOG = [
    ("XADD", LOG, "*", "h", "x"),
    ("XTRIM", LOG, "MAXLEN", "0"),
    ("XADD", HISTORY, "*", "h", "x"),
    ("DEL", HISTORY),
    ("SET", LAST, "1-1"),
    ("SET", KEYS.layout(), "2"),
    ("HSET", KEYS.commits(0, 0), "epoch", "9"),
]
READS_QUEUE = [
    ("ZRANGE", KEYS.queue(), "0", "-1"),
    ("ZRANGEBYSCORE", KEYS.queue(), "0", "1"),
    ("GET", JOB),
    ("XRANGE", KEYS.dead(), "-", "+"),
]
TAKES_JOBS = [
    ("ZPOPMIN", KEYS.queue()),
    ("BLPOP", KEYS.bell(), "0.1"),
    ("SET", KEYS.lease(), "me"),
    ("HGETALL", KEYS.hand()),
    ("SET", "arq:in-progress:j", "me"),
    ("XADD", KEYS.dead(), "*", "job", "j"),
]
ENQUEUES = [("ZADD", KEYS.queue(), "0", "j"), ("SET", JOB, "x"), ("SET", KEYS.producer("p"), "1 "), ("RPUSH", KEYS.bell(), "1")]
CANCELS = [("ZREM", KEYS.queue(), "j"), ("DEL", JOB), ("SET", RECEIPT, "x"), ("PUBLISH", KEYS.receipts("x"), "x")]
REGISTERS = [("HSET", KEYS.edge("e"), "format", "9"), ("ZADD", KEYS.edges(), "0", "e"), ("SET", KEYS.away("c"), "e")]
FORBIDDEN = {
    "edge": [*WRITES_LOG, *READS_QUEUE, *TAKES_JOBS, *ENQUEUES, *CANCELS, ("DEL", LAST), ("SUBSCRIBE", KEYS.receipts("x"))],
    "worker": [*REGISTERS, ("SET", KEYS.producer("p"), "1 "), ("DEL", LAST), ("XRANGE", KEYS.dead(), "-", "+"), ("CONFIG", "GET", "*")],
    "producer": [*READS_LOG, *WRITES_LOG, *READS_QUEUE, *TAKES_JOBS, *CANCELS, *REGISTERS, ("HSET", GEN, "label", "x"), ("INFO",)],
    "ingest": [*READS_LOG, *WRITES_LOG, *TAKES_JOBS, *REGISTERS, ("HSET", GEN, "label", "x"), ("XRANGE", KEYS.dead(), "-", "+")],
    "operator": [*WRITES_LOG, *TAKES_JOBS, *REGISTERS, ("HSET", GEN, "label", "x")],
}


@pytest.mark.parametrize("user", USERS)
async def test_a_user_may_do_nothing_that_its_service_need_not(system: System, user: str) -> None:
    async with connect(system.server.url) as admin, connect(system.url(user)) as client:
        await admin.execute_command("SET", "other:key", "kept")  # type: ignore[no-untyped-call]
        for command in [*NOTHING, *FORBIDDEN[user]]:
            with pytest.raises(NoPermissionError):
                await client.execute_command(*command)  # type: ignore[no-untyped-call]
            with pytest.raises(ResponseError, match=DENIED):
                await client.eval("return redis.call(unpack(ARGV))", 0, *command)  # type: ignore[misc]
        assert await admin.get("other:key") == b"kept"


async def test_an_edge_that_finds_no_layout_waits_for_a_worker_and_says_so(system: System) -> None:
    edge = system.service("edge")
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        started = pool.submit(stack.enter_context, edge)
        await wait_until(lambda: edge._process and "only a worker may write tailrace:layout" in edge.stderr, 20)
        stack.enter_context(system.service("worker"))
        await wait_until(started.done, 20)
        assert started.result() is edge


COMMANDS = {
    "edge": """
        del eval evalsha exists get hdel hexists hget hincrby hkeys hmget hset info mget pexpire pttl
        script|load set time xinfo|stream xlen xrange xread xrevrange zadd zcard zrangebyscore zrem
        zremrangebyscore zrevrange
    """,
    "worker": """
        blpop del eval evalsha exists expire get hdel hget hgetall hincrby hlen hmget hset hsetnx info
        memory|usage mget pexpire publish rpush script|load set time wait xadd xinfo|stream xlen xtrim zadd
        zcard zmscore zpopmin zrange zrangebyscore zrem zremrangebyrank zremrangebyscore zscore
    """,
    "ingest": """
        del eval evalsha exists get hget hset hvals info mget pexpire ping publish rpush script|load set
        subscribe time zadd zcard zrem zscore
    """,
    "producer": """
        del eval evalsha exists get hget hset hvals mget pexpire ping rpush script|load set subscribe time
        zadd zcard zscore
    """,
    "operator": """
        config|get del eval evalsha exists get hget hgetall hset hvals info mget pexpire ping publish rpush
        script|exists script|load set subscribe time xdel xlen xrange xread xrevrange zadd zcard zcount zrange
        zrem zscore
    """,
}
"""Every command that a user may run; one that comes or goes is a decision, taken here. Categories are granted to nobody."""


@pytest.mark.parametrize("user", USERS)
def test_a_file_grants_the_commands_that_are_pinned_and_only_keys_of_ours(user: str) -> None:
    text = (FILES / f"{user}.acl").read_text()
    assert text.startswith(f"user tailrace-{user} on resetkeys resetchannels -@all ")
    assert text.count("\n") == 1
    assert not set(">#") & set(text)
    assert "nopass" not in text
    words = re.sub(r"[()]", " ", text).split()[6:]
    assert sorted({word[1:] for word in words if word.startswith("+")}) == COMMANDS[user].split()
    patterns = {word.lstrip("%RW").removeprefix("~") for word in words if word[0] in "%~&"}
    assert "(~* +eval +evalsha)" in text  # a script may name any key: what it runs is checked by itself
    assert text.count("~* ") == 1
    assert {pattern for pattern in patterns if not pattern.startswith(("tailrace:", "&tailrace:", "arq:"))} <= {"*", ""}
