"""The Litestar application: HTTP in, the engine's answers out."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import HttpMethod, Litestar, MediaType, Request, Response, delete, get, post, route
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from tailrace.ingest import _answers as answers
from tailrace.ingest._answers import Answer
from tailrace.ingest._config import IngestConfig
from tailrace.ingest._engine import Engine
from tailrace.ingest._guards import OPEN, guards
from tailrace.ingest._openapi import CancelOperation, JobOperation, PushOperation, openapi
from tailrace.ingest._page import HEADERS
from tailrace.ingest._prefer import read_prefer
from tailrace.ingest._requests import MAX_BODY_BYTES
from tailrace.push import Pusher

logger = logging.getLogger(__name__)
AnyRequest = Request[Any, Any, Any]
_READS = [HttpMethod.GET, HttpMethod.HEAD]
_MESSAGES = {
    404: "not found: POST /push accepts pushes; see /schema",
    405: "method not allowed: POST /push accepts pushes; see /schema",
    413: f"the body has more than {MAX_BODY_BYTES} bytes",
}


class _NotRunningError(Exception):
    """The application's lifespan isn't run."""


def _running(state: State) -> Engine:
    engine: Engine | None = state.get("engine")
    if engine is None:
        raise _NotRunningError
    return engine


@post("/push", operation_class=PushOperation, summary="Push one event, or an array of them")
async def push(request: AnyRequest, state: State) -> Response[bytes]:
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        return _respond(answers.coded(coding))
    config: IngestConfig = state.config
    preference = read_prefer(",".join(request.headers.getall("prefer", [])), default_s=config.wait_s, max_s=config.max_wait_s)
    answer = await _running(state).push(request.stream(), preference)  # unlike body(), it isn't kept while this waits
    if preference.applied:
        answer = answer._replace(headers={**answer.headers, "Preference-Applied": preference.applied})
    return _respond(answer)


@get("/jobs/{job:str}", operation_class=JobOperation, summary="Where a job is")
async def status(job: str, state: State) -> Response[bytes]:
    return _respond(await _running(state).status(job))


@delete("/jobs/{job:str}", operation_class=CancelOperation, status_code=200, summary="Cancel a job")
async def cancel(job: str, state: State) -> Response[bytes]:
    return _respond(await _running(state).cancel(job))


@route("/healthz", http_method=_READS, opt={OPEN: True}, include_in_schema=False, sync_to_thread=False)
def healthz() -> Response[bytes]:
    return _respond(Answer(200, {"state": "alive"}))


@route("/readyz", http_method=_READS, opt={OPEN: True}, include_in_schema=False)
async def readyz(state: State) -> Response[bytes]:
    return _respond(await _running(state).ready())


def create_app(config: IngestConfig) -> Litestar:
    """Make the application. Its lifespan makes all connections, so it can be built before a fork, and run again after it has ended.

    Until the lifespan runs, requests are answered 503, and one error line says what to do.
    """

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with Pusher(
            config.queue_url,
            prefix=config.prefix,
            partitions=config.partitions,
            max_queue=config.max_queue,
            timeout_s=config.enqueue_s,
            receipt_s=config.receipt_s,
        ) as pusher:
            app.state.engine = Engine(pusher, max_waiting=config.max_waiting, max_bytes=config.max_bytes)
            try:
                yield
            finally:
                app.state.engine = None

    return Litestar(
        [push, status, cancel, healthz, readyz],
        state=State({"config": config}),
        lifespan=[lifespan],
        guards=guards(config),
        exception_handlers={HTTPException: _http_error, _NotRunningError: _not_running, Exception: _fault},
        cors_config=_cors(config),
        response_headers=HEADERS,
        logging_config=None,
        openapi_config=openapi(version("tailrace"), token=bool(config.push_token)),
        request_max_body_size=MAX_BODY_BYTES,
    )


def _cors(config: IngestConfig) -> CORSConfig | None:
    if not config.origins:
        return None
    return CORSConfig(
        allow_origins=list(config.origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Prefer"],
        expose_headers=["Location", "Retry-After", "Preference-Applied"],
    )


def _respond(answer: Answer) -> Response[bytes]:
    return Response(
        msgspec.json.encode(answer.body),
        status_code=answer.status,
        headers=dict(answer.headers),
        media_type=MediaType.JSON,
    )


def _http_error(_: AnyRequest, error: HTTPException) -> Response[bytes]:
    message = _MESSAGES.get(error.status_code, error.detail)
    return _respond(answers.problem(error.status_code, message, headers={**HEADERS, **(error.headers or {})}))


def _not_running(request: AnyRequest, _: Exception) -> Response[bytes]:
    if not request.app.state.get("reported"):
        request.app.state.reported = True
        logger.error(
            "ingest is not running, so it answers 503. It runs as long as the lifespan of its application, which the ASGI server has "
            "to run. Servers don't run the lifespan of a mounted application: let the outer application's lifespan enter `app.lifespan()`"
        )
    return _respond(answers.try_again(503, "ingest is not running, see its log: nothing was enqueued"))


def _fault(_: AnyRequest, error: Exception) -> Response[bytes]:
    logger.error("request failed", exc_info=error)
    return _respond(answers.problem(500, "internal error; see ingest's log", headers=HEADERS))
