"""The examples in docs/examples/producers, run as a reader would run them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
import redis

from tailrace.wire import Keys
from tests.support.redis import RedisServer
from tests.support.service import Service
from tests.support.wait import wait_until_sync

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/examples/producers"
KEYS = Keys()
EXAMPLES: list[tuple[str, str, Sequence[str]]] = [
    ("python_pusher", sys.executable, ["python_pusher.py"]),
    ("python_blocking", sys.executable, ["python_blocking.py"]),
    ("stock_arq", sys.executable, ["stock_arq.py"]),
    ("node", "node", ["node.mjs"]),
    ("php", "php", ["php_redis.php"]),
    ("go", "go", ["run", "main.go"]),
    ("shell", "redis-cli", []),
    ("shell_enqueue", "redis-cli", []),
]


@pytest.fixture(scope="module")
def working_url() -> Iterator[str]:
    with RedisServer() as server, Service("worker", "--redis", server.url):
        yield server.url


@pytest.mark.parametrize(("name", "needs", "arguments"), EXAMPLES, ids=[name for name, *_ in EXAMPLES])
def test_the_event_of_each_example_is_in_the_log_once(name: str, needs: str, arguments: Sequence[str], working_url: str) -> None:
    _skip_without(name, needs)
    command = [needs, *arguments] if arguments else ["sh", f"{name}.sh"]
    done = _run(command, working_url)
    assert done.returncode == 0, done.stdout + done.stderr
    with redis.Redis.from_url(working_url) as server:
        wait_until_sync(lambda: _events(server, name))
        assert len(_events(server, name)) == 1
        assert server.xlen(KEYS.dead()) == 0


def _skip_without(name: str, needs: str) -> None:
    if not shutil.which(needs):
        pytest.skip(f"{needs} is not installed")
    if name == "php" and "redis" not in _run(["php", "-m"], "").stdout.split():
        pytest.skip("PHP's redis extension is not installed (Debian: apt-get install php-redis)")


def _run(command: Sequence[str], url: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "TAILRACE_REDIS_URL": url}
    return subprocess.run(command, cwd=FOLDER, env=environ, capture_output=True, text=True, timeout=50, check=False)


def _events(server: "redis.Redis", name: str) -> list[bytes]:
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", server.xrange(KEYS.log(0)))
    blocks = [b"".join(fields.values()) for _, fields in entries]
    return [block for block in blocks if b'"from":"%b"' % name.encode() in block]


def test_every_example_is_run() -> None:
    there = {path.name for path in FOLDER.iterdir() if path.suffix not in {".md", ".lua"}}
    run = {arguments[-1] if arguments else f"{name}.sh" for name, _, arguments in EXAMPLES}
    assert run == there
