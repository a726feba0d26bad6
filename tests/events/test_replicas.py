"""Appends that count only once replicas have them."""

import pytest
from redis.exceptions import RedisError

from tailrace.events import LogWriter, NewEvent
from tailrace.redis import connect
from tailrace.wire import Keys
from tests.support.cluster import ask
from tests.support.redis import Kind, RedisServer
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
EVENT = NewEvent("0", "a", b"event: message\ndata: 1\n\n")


@pytest.mark.parametrize("kind", ["valkey", "redis"])
async def test_an_append_that_too_few_replicas_have_is_trouble_and_sent_again_it_counts_once(kind: Kind) -> None:
    with RedisServer(kind, "--repl-diskless-sync-delay", "0") as primary, RedisServer(kind) as replica:
        async with connect(primary.url) as redis:
            writer = LogWriter(redis, Keys(), 0, min_replicas=1)
            await writer.raise_epoch(0, 1)
            with pytest.raises(RedisError, match="0 of 1 replicas"):
                await writer.commit(0, 1, 1, [], [EVENT])
            ask(replica.port, "REPLICAOF", "127.0.0.1", primary.port)
            await wait_until(lambda: "state=online" in ask(primary.port, "INFO", "replication"))
            await writer.commit(0, 1, 1, [], [EVENT])
            await writer.commit(0, 1, 2, [], [EVENT])
            assert ask(replica.port, "XLEN", Keys().log(0)) == ask(primary.port, "XLEN", Keys().log(0)) == 2
