"""The servers that are compared, each on one core: how it is started, and how an event gets into it."""

import asyncio
import http.client
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

from litestar.channels.backends.redis import RedisChannelsStreamBackend
from redis.asyncio import Redis

from tailrace.events import LogWriter, NewEvent
from tailrace.redis import connect
from tailrace.wire import Keys, encode_json_block
from tests.benchmarks._figures import Missing
from tests.benchmarks._process import GENERATOR, SERVER, pin, running, until
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.service import Service

CHANNEL = "bench"
_PEERS = Path(__file__).parent / "peers"
_PAD = b"x" * 100
_AT_ONCE = 128
_NCHAN = "/usr/lib/nginx/modules/ngx_nchan_module.so"


class Publisher(Protocol):
    """Puts so many events in, one after another."""

    async def __call__(self, count: int) -> None: ...


class Side(NamedTuple):
    """A running server."""

    pid: int
    port: int
    path: str
    publish: Publisher
    replays: bool = False
    """Whether it replays from `Last-Event-ID` under the ids that it sent."""
    at_once: int = 500
    """Connections that may wait for an answer at the same time."""


def payload() -> bytes:
    """Make the data of an event: about 150 bytes as it goes out, with the time in it."""
    return b'{"t":%.6f,"pad":"%b"}' % (time.time(), _PAD)


def frames() -> bytes:
    return encode_json_block("message", payload())


@asynccontextmanager
async def tailrace_edge(folder: Path) -> AsyncIterator[Side]:
    with RedisServer() as redis, Service("edge", "--redis", redis.url, "--max-connections", "19000") as edge:
        pin(redis.pid, GENERATOR)
        pin(edge.pid, SERVER)
        client = connect(redis.url)
        writer = LogWriter(client, Keys("tailrace"), 0)

        async def publish(count: int) -> None:
            for start in range(0, count, _AT_ONCE):
                await writer.append([NewEvent(str(index), CHANNEL, frames()) for index in range(min(_AT_ONCE, count - start))])

        yield Side(edge.pid, _port(edge.url), f"/sse?channel={CHANNEL}", publish, replays=True)
        await client.aclose()


@asynccontextmanager
async def nchan(folder: Path) -> AsyncIterator[Side]:
    if not (shutil.which("nginx") and Path(_NCHAN).exists()):
        raise Missing("nginx with nchan (Debian: apt-get install nginx libnginx-mod-nchan)")
    port = free_port()
    settings = folder / f"nginx-{port}.conf"
    settings.write_text(_conf("nginx", module=_NCHAN, folder=folder, port=port, channel=CHANNEL))
    with running(["nginx", "-c", str(settings), "-p", str(folder)], SERVER, folder) as process:
        until(process, _listening(port))

        async def publish(count: int) -> None:
            await post(port, "/publish", count, payload, {"X-EventSource-Event": "message"})

        yield Side(process.pid, port, "/sse", publish, replays=True)


@asynccontextmanager
async def pushpin(folder: Path) -> AsyncIterator[Side]:
    if not shutil.which("pushpin"):
        raise Missing("pushpin (Debian: apt-get install pushpin)")
    port, control = free_port(), free_port()
    home = Path(tempfile.mkdtemp(dir=folder))
    (home / "routes").write_text("* test\n")
    settings = home / "pushpin.conf"
    settings.write_text(_conf("pushpin", port=port, control=control, home=home, spec_1=free_port(), spec_2=free_port(), spec_3=free_port()))
    with running(["pushpin", f"--config={settings}"], SERVER, folder) as process:
        until(process, _listening(control))
        await asyncio.sleep(1)

        def item() -> bytes:
            content = frames().replace(b"\n", b"\\n").replace(b'"', b'\\"')
            return b'{"items":[{"channel":"test","formats":{"http-stream":{"content":"%b"}}}]}' % content

        async def publish(count: int) -> None:
            await post(control, "/publish/", count, item, {"Content-Type": "application/json"})

        # With a hundred at once and more, its connection manager left some unanswered, and one of its threads died (Debian's 1.36).
        yield Side(process.pid, port, "/stream", publish, at_once=50)


@asynccontextmanager
async def sse_starlette(folder: Path) -> AsyncIterator[Side]:
    with RedisServer() as redis:
        pin(redis.pid, GENERATOR)
        client = Redis.from_url(redis.url)

        async def publish(count: int) -> None:
            for _ in range(count):
                await client.xadd(CHANNEL, {"data": payload()})

        async with _python_peer("sse_starlette_app", folder, redis.url, publish) as side:
            yield side
        await client.aclose()


@asynccontextmanager
async def litestar(folder: Path) -> AsyncIterator[Side]:
    with RedisServer() as redis:
        pin(redis.pid, GENERATOR)
        client = Redis.from_url(redis.url)
        backend = RedisChannelsStreamBackend(history=1000, redis=client)

        async def publish(count: int) -> None:
            for _ in range(count):
                await backend.publish(payload(), [CHANNEL])

        async with _python_peer("litestar_app", folder, redis.url, publish) as side:
            yield side
        await client.aclose()


@asynccontextmanager
async def _python_peer(module: str, folder: Path, url: str, publish: Publisher) -> AsyncIterator[Side]:
    port = free_port()
    options = ["--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    command = [peer_python(), "-m", "uvicorn", "--app-dir", str(_PEERS), *options, "--backlog", "4096", f"{module}:app"]
    with running(command, SERVER, folder, {"BENCH_REDIS": url, "BENCH_CHANNEL": CHANNEL}) as process:
        until(process, _listening(port))
        yield Side(process.pid, port, "/sse", publish)
        process.kill()  # uvicorn waits for open streams without end


def peer_python() -> str:
    """Return the interpreter of the peers' own environment, which is made when it is first asked for. Raises Missing."""
    home = Path(sys.prefix) / "bench"
    if trouble := _make(home):
        raise Missing(f"the peers of requirements/bench.txt ({trouble})")
    return str(home / "bin" / "python")


@cache
def _make(home: Path) -> str:
    """Make the peers' environment unless it is there; return what went wrong, which is tried once."""
    wanted = Path(__file__).parents[2] / "requirements" / "bench.txt"
    made = home / "requirements.txt"
    if not made.exists() or made.read_text() != wanted.read_text():
        print(f"Making {home} for the peers", flush=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(wanted)]
        try:
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
            subprocess.run(pip, check=True)
        except subprocess.CalledProcessError as error:
            return str(error)
        made.write_text(wanted.read_text())
    return ""


async def post(port: int, path: str, count: int, body: Callable[[], bytes], headers: dict[str, str]) -> None:
    """Post one event after another over one connection, and over another one where the server has closed it."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    done = 0
    while done < count:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while done < count:
                data = body()
                writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
                await _accepted(reader)
                done += 1
        writer.close()


async def _accepted(reader: asyncio.StreamReader) -> None:
    answer = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not answer.startswith(b"http/1.1 20"):
        raise RuntimeError(f"an event was answered {answer[:60]!r}")
    length = answer.partition(b"content-length:")[2].split(b"\r\n")[0]
    await reader.readexactly(int(length or 0))


def _listening(port: int) -> Iterator[bool]:
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.connect()
        except OSError:
            yield False
        else:
            connection.close()
            yield True


def _conf(name: str, **values: object) -> str:
    """Fill in a server's configuration, whose placeholders are `@name@`."""
    text = (_PEERS / f"{name}.conf").read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


Start = Callable[[Path], AbstractAsyncContextManager[Side]]
EDGE, NCHAN, PUSHPIN, SSE_STARLETTE, LITESTAR = "tailrace edge", "nginx + nchan", "Pushpin", "sse-starlette", "Litestar"
SIDES: Mapping[str, Start] = {EDGE: tailrace_edge, NCHAN: nchan, PUSHPIN: pushpin, SSE_STARLETTE: sse_starlette, LITESTAR: litestar}
