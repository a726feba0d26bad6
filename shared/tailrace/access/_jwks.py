"""A JWKS from an issuer's server, kept fresh by one task and never waited for by a token whose key is known.

`run` is the only thing that fetches: at the start, every `refresh_s`, and when `look_up` asks for an unknown `kid`. So a client that
sends such tokens, or goes away in the middle, causes one request per `retry_s` and no more. While the server is away the last
answer counts for `stale_s`.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import msgspec

from tailrace.access._errors import InvalidTokenError, NotNowError, UnknownKeyError
from tailrace.access._grant import Grant
from tailrace.access._jwt import Verifier
from tailrace.access._keys import KeySet, parse_jwks, require_libraries
from tailrace.wire import SetupError

if TYPE_CHECKING:
    import httpx

_logger = logging.getLogger(__name__)
_NONE = KeySet()


class JwksPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Where a JWKS is and what fetching it may cost."""

    url: str
    """It can't contain a password, since log lines show it."""
    refresh_s: float = 600
    """How often it is fetched."""
    retry_s: float = 60
    """The shortest time between a request and the next one for an unknown `kid`, or after a failure."""
    stale_s: float = 86_400
    """How long the last answer counts while the server is away."""
    timeout_s: float = 5
    """How long a request may take as a whole."""
    max_bytes: int = 256 * 1024

    def __post_init__(self) -> None:
        """Raise ValueError: the URL can't be used. The text doesn't show it, since it may contain a password after all."""
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in ("https", "http") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            good = False
            parts = urlsplit("")
        if not good or "@" in parts.netloc:
            raise ValueError("--jwks-url: expected https://host/path, without a user name")


class _FetchError(Exception):
    """An answer that is not a usable JWKS."""


class Jwks:
    """The keys of an issuer. `run` has to run for as long as they are used.

    Raises SetupError: the extra `auth` isn't installed.
    """

    def __init__(self, policy: JwksPolicy, *, clock: Callable[[], float] = monotonic) -> None:
        require_libraries()
        self._policy, self._clock = policy, clock
        self._keys, self._content = _NONE, b""
        self._fetched_at: float | None = None
        self._tried_at = float("-inf")
        self._failures = 0
        self._wanted = asyncio.Event()
        self._answered: asyncio.Event | None = None

    @property
    def keys(self) -> KeySet:
        """The keys that are trusted now: none before the first answer, and none once the last is too old."""
        if self._fetched_at is None or self._clock() - self._fetched_at > self._policy.stale_s:
            return _NONE
        return self._keys

    async def run(self) -> NoReturn:
        """Fetch the keys now and from time to time."""
        if self._policy.url.startswith("http:"):
            _logger.warning("JWKS %s is fetched without TLS: whoever controls the network controls the keys", self._policy.url)
        async with await asyncio.to_thread(_client, self._policy.timeout_s) as client:  # reads certificates from disk
            while True:
                await self._try(client)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s()):
                        await self._wanted.wait()
                self._wanted.clear()

    async def look_up(self, kid: str | None) -> None:
        """Wait until the server has been asked for a key that isn't known; it may still be unknown then.

        Raises NotNowError: the server was asked less than `retry_s` ago, or doesn't answer.
        """
        if self._has(kid):
            return
        if self._answered is None:
            if self._clock() - self._tried_at < self._policy.retry_s:
                raise NotNowError("the token names an unknown key, and the JWKS was fetched a moment ago")
            self._answered = asyncio.Event()
            self._wanted.set()
        failures = self._failures
        try:
            async with asyncio.timeout(self._policy.timeout_s + 1):
                await self._answered.wait()
        except TimeoutError:
            raise NotNowError("the JWKS can't be fetched") from None
        if self._failures > failures and not self._has(kid):
            raise NotNowError("the JWKS can't be fetched")

    def _has(self, kid: str | None) -> bool:
        keys = self.keys
        return bool(keys.keys) if kid is None else keys.knows(kid)

    def _pause_s(self) -> float:
        if not self._failures:
            return self._policy.refresh_s
        if self._fetched_at is None:  # nobody can be let in: the issuer may be starting too
            return min(self._policy.retry_s, 2.0 ** min(self._failures - 1, 10))
        return self._policy.retry_s

    async def _try(self, client: "httpx.AsyncClient") -> None:
        self._tried_at = self._clock()
        answered = self._answered = self._answered or asyncio.Event()
        try:
            await self._fetch(client)
        except _FetchError as error:
            self._failures += 1
            _logger.warning("JWKS %s can't be fetched: %s", self._policy.url, error, extra={"failures": self._failures})
        else:
            if self._failures:
                _logger.info("JWKS %s is reachable again", self._policy.url)
            self._failures = 0
            self._fetched_at = self._clock()
        finally:
            self._answered = None
            answered.set()

    async def _fetch(self, client: "httpx.AsyncClient") -> None:
        import httpx

        try:
            async with asyncio.timeout(self._policy.timeout_s):
                content = await self._get(client)
        except TimeoutError:
            raise _FetchError(f"no answer within {self._policy.timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise _FetchError(type(error).__name__) from None
        if content == self._content and self._fetched_at is not None:
            return  # the same object: what its keys verified stays verified
        try:
            self._keys = parse_jwks(content)
        except ValueError as error:
            raise _FetchError(str(error)) from None
        self._content = content

    async def _get(self, client: "httpx.AsyncClient") -> bytes:
        """Read a bounded answer. It isn't decompressed, since a small one could become huge."""
        async with client.stream("GET", self._policy.url) as response:
            if response.status_code != 200:
                raise _FetchError(f"HTTP status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise _FetchError("the answer is compressed")
            content = bytearray()
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > self._policy.max_bytes:
                    raise _FetchError(f"the answer is larger than {self._policy.max_bytes} bytes")
            return bytes(content)


async def verify_token(verifier: Verifier, jwks: Jwks | None, token: str, now: float) -> Grant:
    """Return the grant of a token that is valid at `now`, in Unix seconds, asking the issuer's server only for an unknown key.

    Raises:
        InvalidTokenError: the token isn't valid.
        NotNowError: its key is unknown, and the server can't be asked at the moment.
    """
    try:
        return verifier.verify(token, now)
    except UnknownKeyError as error:
        if jwks is None:
            raise
        await jwks.look_up(error.kid)
    try:
        return verifier.verify(token, now)
    except UnknownKeyError:
        raise InvalidTokenError("the token is signed by no trusted key") from None


def _client(timeout_s: float) -> "httpx.AsyncClient":
    try:
        import httpx
    except ImportError:
        raise SetupError("--jwks-url needs the extra `auth`: pip install 'tailrace[auth]'") from None
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    return httpx.AsyncClient(follow_redirects=False, timeout=timeout_s, headers=headers)
