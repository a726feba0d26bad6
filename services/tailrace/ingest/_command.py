"""`tailrace ingest`."""

import argparse
import asyncio
import logging
from collections.abc import Sequence

import uvloop
from redis.exceptions import RedisError

from tailrace.ingest._app import create_app
from tailrace.ingest._config import IngestConfig
from tailrace.redis import check_redis, connect_queue, redact, trouble
from tailrace.service import Command, SettingsError, add_settings, bind, configure_logging, is_loopback, raise_file_limit, read_settings
from tailrace.service.http import Server
from tailrace.wire import SetupError

_GRACE_S = 10
_log = logging.getLogger(__name__)
_EPILOG = """examples:
  tailrace ingest --port 8001 --redis redis://127.0.0.1:6379/0
  curl localhost:8001/push -d '{"to": "all", "data": {"hello": "world"}}'
  curl localhost:8001/push -H 'Prefer: respond-async' -d '[{"to": "room:1", "data": 1}, {"to": "room:1", "data": 2}]'
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, IngestConfig)


def _run(namespace: argparse.Namespace) -> int:
    config = read_settings(IngestConfig, namespace)
    configure_logging(config.log_level)
    raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_check(config))
        listener = bind(config.host, config.port)
        bound_to = listener.getsockname()[0]
        _check_exposure(config, bound_to)
        guarded = is_loopback(bound_to) and not config.push_token
        runner.run(_server(config, config.hosts if guarded else None).serve_until_signal(listener))
    return 0


def _server(config: IngestConfig, hosts: Sequence[str] | None) -> Server:
    app = create_app(config)

    def release_waiting() -> None:
        app.state.engine.stop()  # which the lifespan has set

    return Server("ingest", app, grace_s=_GRACE_S, hosts=hosts, body_s=config.body_s, on_shutdown=release_waiting)


def _check_exposure(config: IngestConfig, bound_to: str) -> None:
    """Refuse to accept pushes from other machines without a token. Raises SettingsError."""
    flag, address = ("--published-on", config.published_on) if config.published_on else ("--host", bound_to)
    if config.push_token or config.allow_anonymous_push or is_loopback(address):
        return
    raise SettingsError(
        f"{flag}: anyone who can connect to {address} could push; set --push-token (TAILRACE_PUSH_TOKEN), or pass --allow-anonymous-push "
        "to permit that"
    )


async def _check(config: IngestConfig) -> None:
    """Refuse an unsuitable Redis; an unreachable one may come back."""
    try:
        async with connect_queue(config.queue_url, timeout_s=2) as redis:
            await check_redis(redis)
    except SetupError as error:
        raise SettingsError(str(error)) from None
    except RedisError as error:
        said = redact(trouble(error, f"Redis at {redact(config.queue_url)}"))
        _log.warning("%s: pushes are answered 503 until it is resolved", said, extra={"reason": said})


COMMAND = Command("Accept pushes over HTTP.", _configure, _run, _EPILOG)
