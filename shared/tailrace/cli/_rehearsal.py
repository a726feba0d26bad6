"""Whether Redis would take what tailrace writes: a script that may write, and doesn't."""

from collections.abc import Mapping, Sequence

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


def queue_commands(keys: Keys) -> dict[str, list[Command]]:
    """Return what producers and workers run on the queue's Redis, by what it is for."""
    job, receipt = f"{JOB_PREFIX}doctor", keys.receipt("doctor")
    return {
        "enqueue": [
            ("GET", keys.producer("doctor")),
            ("SET", keys.producer("doctor"), "1"),
            ("SET", job, "1"),
            ("ZADD", keys.queue(), "0", "doctor"),
            ("HSET", keys.line(), "last", "0"),
            ("RPUSH", keys.bell(), "1"),
            ("MGET", receipt),
            ("SUBSCRIBE", keys.receipts("doctor")),
        ],
        "end jobs": [("DEL", job), ("SET", receipt, "1"), ("PUBLISH", keys.receipts("doctor"), "1")],
        "take jobs, as workers do": [
            ("ZPOPMIN", keys.queue()),
            ("BLPOP", keys.bell(), "1"),
            ("XADD", keys.dead(), "*", "job", "doctor"),
        ],
    }


def log_commands(keys: Keys) -> dict[str, list[Command]]:
    """Return what workers and edges run on the Redis of the logs, by what it is for."""
    return {
        "append events, as workers do": [
            ("XADD", keys.log(0), "*", "e", "doctor"),
            ("XTRIM", keys.log(0), "MAXLEN", "1"),
            ("SET", keys.layout(), "1"),
        ],
        "read events": [("XRANGE", keys.history(0, "doctor"), "-", "+")],
        "begin a generation, as workers and edges do": [("HSET", keys.generations(0), "label", "doctor")],
        "register clients, as edges do": [("HSET", keys.edge("doctor"), "doctor", "1")],
    }


async def rehearse(redis: Redis, commands: Mapping[str, Sequence[Command]]) -> list[Finding]:
    """Find out whether writes are taken and commands are permitted.

    A user that may run none of the commands for a purpose isn't there for it, which is no fault.
    Raises redis.RedisError: Redis doesn't answer.
    """
    asked = [command for each in commands.values() for command in each]
    try:
        answer = await redis.eval(_SCRIPT, 0, msgspec.json.encode(asked).decode())  # type: ignore[misc]
    except ResponseError as error:
        refused = refusal(error)
        return [Finding(Verdict.WRONG, trouble(error), refused.cure if refused else "")]
    denied = {each.decode() for each in answer}
    found = [Finding(Verdict.OK, "writes are taken")] if len(denied) < len(asked) else []
    for purpose, each in commands.items():
        missing = [words for words in (" ".join(command[:2]) for command in each) if words in denied]
        if found and len(missing) == len(each):
            found.append(Finding(Verdict.OK, f"the Redis user may not {purpose}"))
        else:
            found += [Finding(Verdict.WRONG, f"the Redis user may not run {words}", "grant it with ACL SETUSER") for words in missing]
    return found
