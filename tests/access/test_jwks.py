"""A JWKS from a real server: away, rotated, huge, slow, rubbish."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from tailrace.access import InvalidTokenError, Jwks, JwksPolicy, JwtRules, KeySet, NotNowError, Verifier, verify_token
from tests.access.issuer import AUDIENCE, ISSUER, NOW, jwks, public_jwk, token
from tests.support.ports import free_port
from tests.support.wait import wait_until

pytestmark = pytest.mark.anyio
OLD, NEW = public_jwk("ES256", 0, kid="old"), public_jwk("ES256", 1, kid="new")
OLD_TOKEN, NEW_TOKEN = token("ES256", 0, header={"kid": "old"}), token("ES256", 1, header={"kid": "new"})
Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Issuer:
    """A server that answers as the test says, and counts."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.port = free_port()
        self.requests: list[bytes] = []
        self.handler: Handler = self.answer
        self.status, self.headers, self.body = "200 OK", b"", jwks(*keys)
        self.serving: asyncio.Server | None = None
        self.tasks = set[asyncio.Task[None]]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks?p=policy"

    async def start(self) -> None:
        self.serving = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        if self.serving:
            self.serving.close()
            await self.serving.wait_closed()
            self.serving = None
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)

    async def answer(self, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {self.status}\r\nConnection: close\r\nContent-Length: {len(self.body)}\r\n".encode()
        writer.write(head + self.headers + b"\r\n" + self.body)
        await writer.drain()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._respond(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await self.handler(writer)
        writer.transport.abort() if self.handler is not self.answer else writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def running(issuer: Issuer, *, up: bool = True, **policy: Any) -> AsyncIterator[tuple[Jwks, Clock]]:
    """Run the task that fetches, until the end."""
    clock = Clock()
    keys = Jwks(JwksPolicy(url=issuer.url, **policy), clock=clock)
    if up:
        await issuer.start()
    task = asyncio.create_task(keys.run())
    try:
        yield keys, clock
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await issuer.stop()


def verifier(keys: Jwks) -> Verifier:
    return Verifier(JwtRules(issuer=ISSUER, audience=AUDIENCE), KeySet(), keys)


async def loaded(keys: Jwks) -> Verifier:
    await wait_until(lambda: keys.keys.keys)
    return verifier(keys)


async def test_keys_are_fetched_at_the_start_and_verify_tokens() -> None:
    issuer = Issuer(OLD)
    async with running(issuer) as (keys, _):
        known = await loaded(keys)
        assert known.verify(OLD_TOKEN, NOW).sub == "ann"
        assert len(issuer.requests) == 1
        assert issuer.requests[0].startswith(b"GET /jwks?p=policy HTTP/1.1\r\n")


async def test_a_token_waits_for_the_first_answer() -> None:
    issuer = Issuer(OLD)
    async with running(issuer) as (keys, _):
        grants = await asyncio.gather(*[verify_token(verifier(keys), keys, OLD_TOKEN, NOW) for _ in range(20)])
        assert {grant.sub for grant in grants} == {"ann"}
        assert len(issuer.requests) == 1


async def test_a_rotated_key_is_looked_up_once_a_minute() -> None:
    issuer = Issuer(OLD)
    async with running(issuer) as (keys, clock):
        known = await loaded(keys)
        issuer.body = jwks(OLD, NEW)
        with pytest.raises(NotNowError):  # it may not be looked up yet
            await verify_token(known, keys, NEW_TOKEN, NOW)
        assert len(issuer.requests) == 1
        clock.now += 60
        grants = await asyncio.gather(*[verify_token(known, keys, NEW_TOKEN, NOW) for _ in range(20)])
        assert len(grants) == 20
        assert len(issuer.requests) == 2
        assert known.verify(OLD_TOKEN, NOW).sub == "ann"


async def test_a_key_that_the_issuer_does_not_have_is_refused_once_it_was_asked() -> None:
    issuer = Issuer(OLD)
    async with running(issuer) as (keys, clock):
        known = await loaded(keys)
        clock.now += 60
        with pytest.raises(InvalidTokenError):
            await verify_token(known, keys, NEW_TOKEN, NOW)
        for number in range(50):
            with pytest.raises(NotNowError):
                await verify_token(known, keys, token("ES256", 1, header={"kid": f"k{number}"}), NOW)
        assert len(issuer.requests) == 2


async def test_a_client_that_goes_away_does_not_use_up_the_look_up() -> None:
    issuer = Issuer(OLD)
    async with running(issuer) as (keys, clock):
        known = await loaded(keys)
        issuer.body, clock.now = jwks(OLD, NEW), clock.now + 60
        asking = asyncio.create_task(verify_token(known, keys, NEW_TOKEN, NOW))
        await wait_until(lambda: keys._wanted.is_set() or len(issuer.requests) == 2)
        asking.cancel()
        await asyncio.wait([asking])
        assert (await verify_token(known, keys, NEW_TOKEN, NOW)).sub == "ann"
        assert len(issuer.requests) == 2


async def test_keys_are_fetched_again_from_time_to_time_and_withdrawn_ones_are_gone() -> None:
    issuer = Issuer(OLD)
    async with running(issuer, refresh_s=0.02) as (keys, _):
        known = await loaded(keys)
        grant, before = known.verify(OLD_TOKEN, NOW), keys.keys
        await wait_until(lambda: len(issuer.requests) > 3)
        assert keys.keys is before  # the same answer: what was verified stays verified
        assert known.verify(OLD_TOKEN, NOW) is grant
        issuer.body = jwks(NEW)
        await wait_until(lambda: keys.keys.knows("new"))
        with pytest.raises(NotNowError):
            known.verify(OLD_TOKEN, NOW)


async def test_while_the_server_is_away_its_last_answer_counts_for_a_day(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer(OLD)
    async with running(issuer, refresh_s=0.02, retry_s=0.05) as (keys, clock):
        known = await loaded(keys)
        await issuer.stop()
        await wait_until(lambda: "can't be fetched: ConnectError" in caplog.text)
        clock.now += 60
        with pytest.raises(NotNowError):
            await verify_token(known, keys, NEW_TOKEN, NOW)
        clock.now += 86_000
        assert known.verify(OLD_TOKEN, NOW).sub == "ann"
        clock.now += 341
        with pytest.raises(NotNowError):
            await verify_token(known, keys, OLD_TOKEN, NOW)
        caplog.set_level(logging.INFO)
        await issuer.start()
        await wait_until(lambda: "reachable again" in caplog.text)
        assert known.verify(OLD_TOKEN, NOW).sub == "ann"


async def test_an_issuer_that_starts_later_is_found_within_seconds() -> None:
    issuer = Issuer(OLD)
    async with running(issuer, up=False) as (keys, _):
        with pytest.raises(NotNowError):
            await verify_token(verifier(keys), keys, OLD_TOKEN, NOW)
        await issuer.start()
        assert (await loaded(keys)).verify(OLD_TOKEN, NOW).sub == "ann"


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then, each within any time-out for a single read."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b" ")
        await writer.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.Event().wait()


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
        await writer.drain()


async def no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")


async def endless_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-filler: " + b"x" * 4000 + b"\r\n")
        await writer.drain()


async def cut_off(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")


@pytest.mark.parametrize("handler", [hang, drip, endless, endless_head, no_http, cut_off])
async def test_a_server_that_misbehaves_costs_bounded_time_and_changes_nothing(handler: Handler, caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer(OLD)
    async with running(issuer, refresh_s=0.02, retry_s=0.02, timeout_s=0.3) as (keys, _):
        known = await loaded(keys)
        issuer.handler = handler
        await wait_until(lambda: "can't be fetched" in caplog.text)
        assert known.verify(OLD_TOKEN, NOW).sub == "ann"
        issuer.handler, issuer.body = issuer.answer, jwks(NEW)
        await wait_until(lambda: keys.keys.knows("new"))


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        ("500 Internal Server Error", b"", jwks(NEW)),
        ("404 Not Found", b"", jwks(NEW)),
        ("204 No Content", b"", b""),
        ("302 Found", b"Location: /jwks\r\n", jwks(NEW)),
        ("200 OK", b"Content-Encoding: gzip\r\n", gzip.compress(jwks(NEW))),
        ("200 OK", b"Content-Encoding: gzip\r\n", gzip.compress(b" " * 10_000_000)),
        ("200 OK", b"", b"<html>sign in</html>"),
        ("200 OK", b"", b"[" * 100_000),
        ("200 OK", b"", jwks(NEW) + b" " * 300_000),
        ("200 OK", b"", jwks(*[{}] * 1000, NEW)),
        ("200 OK", b"", b""),
    ],
)
async def test_an_answer_that_is_no_jwks_changes_nothing(
    status: str, headers: bytes, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer(OLD)
    async with running(issuer, refresh_s=0.02, retry_s=0.02) as (keys, _):
        known = await loaded(keys)
        issuer.status, issuer.headers, issuer.body = status, headers, body
        await wait_until(lambda: "can't be fetched" in caplog.text)
        asked = len(issuer.requests)
        await wait_until(lambda: len(issuer.requests) > asked + 1)
        assert known.verify(OLD_TOKEN, NOW).sub == "ann"
        assert not keys.keys.knows("new")
        assert all(request.startswith(b"GET /jwks?p=policy ") for request in issuer.requests)


async def test_a_redirect_leads_nowhere() -> None:
    issuer, other = Issuer(OLD), Issuer(NEW)
    await other.start()
    issuer.status, issuer.headers = "307 Temporary Redirect", f"Location: {other.url}\r\n".encode()
    async with running(issuer) as (keys, _):
        with pytest.raises(NotNowError):
            await verify_token(verifier(keys), keys, NEW_TOKEN, NOW)
    await other.stop()
    assert other.requests == []


async def test_a_known_key_waits_for_nothing_while_the_server_hangs() -> None:
    issuer = Issuer(OLD)
    async with running(issuer, refresh_s=0.02) as (keys, _):
        known = await loaded(keys)
        issuer.handler = hang
        asked = len(issuer.requests)
        await wait_until(lambda: len(issuer.requests) > asked)
        async with asyncio.timeout(1):
            assert (await verify_token(known, keys, OLD_TOKEN, NOW)).sub == "ann"


async def test_without_its_task_a_look_up_ends() -> None:
    keys = Jwks(JwksPolicy(url="http://127.0.0.1:1/", timeout_s=-0.9))
    with pytest.raises(NotNowError):
        await keys.look_up("k")


@pytest.mark.parametrize(
    "url", ["", "ftp://host/", "https://", "host/path", "file:///etc/passwd", "https://user:hush@host/", "http://h:0/", "http://[::"]
)
def test_a_url_that_cannot_be_used_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="--jwks-url: expected") as refused:
        JwksPolicy(url=url)
    assert "hush" not in str(refused.value)
