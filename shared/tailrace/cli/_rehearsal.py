"""Whether Redis would take what tailrace writes: a script that may write, and doesn't."""

from collections.abc import Sequence

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from tailrace.cli._findings import Finding, Verdict
from tailrace.redis import refusal, trouble
from tailrace.wire import JOB_PREFIX, Keys

Command = tuple[str, ...]
"""A command's words, its key or channel second."""
# A server that takes no writes (a full disk, too few replicas, no memory) refuses the script before it begins, as it does tailrace's.
_SCRIPT = """#!lua
-- ARGV: commands, as a JSON array of arrays. Returns those that the user may not run, each with its key.
local denied = {}
for _, words in ipairs(cjson.decode(ARGV[1])) do
  if not redis.acl_check_cmd(unpack(words)) then denied[#denied + 1] = words[1] .. ' ' .. words[2] end
end
return denied
"""


def queue_commands(keys: Keys) -> list[Command]:
    """Return commands that producers and workers run on the queue's Redis."""
    job, receipt = f"{JOB_PREFIX}doctor", keys.receipt("doctor")
    return [
        ("GET", keys.producer("doctor")),
        ("SET", keys.producer("doctor"), "1"),
        ("SET", job, "1"),
        ("DEL", job),
        ("ZADD", keys.queue(), "0", "doctor"),
        ("ZPOPMIN", keys.queue()),
        ("HSET", keys.line(), "last", "0"),
        ("RPUSH", keys.bell(), "1"),
        ("BLPOP", keys.bell(), "1"),
        ("SET", receipt, "1"),
        ("MGET", receipt),
        ("PUBLISH", keys.receipts("doctor"), "1"),
        ("SUBSCRIBE", keys.receipts("doctor")),
        ("XADD", keys.dead(), "*", "job", "doctor"),
    ]


def log_commands(keys: Keys) -> list[Command]:
    """Return commands that workers and edges run on the Redis of the logs."""
    return [
        ("XADD", keys.log(0), "*", "e", "doctor"),
        ("XTRIM", keys.log(0), "MAXLEN", "1"),
        ("XRANGE", keys.log(0), "-", "+"),
        ("HSET", keys.generations(0), "doctor", "1"),
        ("SET", keys.layout(), "1"),
        ("HSET", keys.edge("doctor"), "doctor", "1"),
    ]


async def rehearse(redis: Redis, commands: Sequence[Command]) -> list[Finding]:
    """Find out whether writes are taken and commands are permitted. Raises redis.RedisError: Redis doesn't answer."""
    try:
        denied = await redis.eval(_SCRIPT, 0, msgspec.json.encode(commands).decode())  # type: ignore[misc]
    except ResponseError as error:
        refused = refusal(error)
        return [Finding(Verdict.WRONG, trouble(error), refused.cure if refused else "")]
    named = [each.decode() for each in denied]
    return [Finding(Verdict.WRONG, f"the Redis user may not run {each}", "grant it with ACL SETUSER") for each in named] or [
        Finding(Verdict.OK, "writes are taken")
    ]
