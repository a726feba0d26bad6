"""The application that `tailrace console` serves: the page, and what the page has to know."""

from typing import Annotated, Any

import msgspec
from litestar import HttpMethod, Litestar, MediaType, Request, Response, route
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import Parameter

from tailrace.console._config import ConsoleConfig
from tailrace.console._page import HEADERS, load_page, policy, reached
from tailrace.service import SAFE_HEADERS, Problem
from tailrace.wire import CursorError, Place, decode_cursor, encode_cursor, id_at, id_parts

_INDEX = "index.html"
_READS = [HttpMethod.GET, HttpMethod.HEAD]
AnyRequest = Request[Any, Any, Any]


class PageConfig(msgspec.Struct, frozen=True):
    """What the page has to know: addresses, as its own browser reaches them."""

    edges: tuple[str, ...]
    ingest: str


class AgedCursor(msgspec.Struct, frozen=True):
    """A cursor as a client would hold it that was away for a long time."""

    cursor: str


def age_cursor(text: str, age_s: float) -> str:
    """Move a cursor back in time, as if its holder had left so many seconds earlier. Raises CursorError."""
    places = decode_cursor(text, text.count(".") + 1)
    earlier = [max(id_parts(place.position)[0] - round(age_s * 1000), 0) for place in places]
    return encode_cursor(tuple([Place(place.generation, id_at(ms, 0)) for place, ms in zip(places, earlier, strict=True)]))


def create_app(config: ConsoleConfig) -> Litestar:
    """Make the application."""
    page = load_page()

    @route(["/", "/{name:str}"], http_method=_READS, sync_to_thread=False)
    def file(request: AnyRequest, name: str = _INDEX) -> Response[bytes]:
        if name not in page:
            raise NotFoundException(f"not found: {name[:64]!r}")
        found = page[name]
        addresses = _reached(config, request)
        # A 304 carries the policy, too: a browser puts a new answer's headers in the place of those that it has stored.
        headers = {"ETag": found.tag, "Content-Security-Policy": policy([*addresses.edges, addresses.ingest])}
        if request.headers.get("if-none-match") == found.tag:
            return Response(b"", status_code=304, headers=headers)
        return Response(found.body, media_type=found.media_type, headers=headers)

    @route("/config.json", http_method=_READS, sync_to_thread=False)
    def page_config(request: AnyRequest) -> PageConfig:
        return _reached(config, request)

    @route("/aged-cursor", http_method=_READS, sync_to_thread=False)
    def aged_cursor(cursor: str, age_s: Annotated[float, Parameter(ge=0, le=1e9)]) -> Response[AgedCursor | Problem]:
        try:
            return Response(AgedCursor(age_cursor(cursor, age_s)))
        except CursorError as error:
            return Response(Problem(str(error)), status_code=400)

    @route("/healthz", http_method=_READS, sync_to_thread=False)
    def healthz() -> dict[str, str]:
        return {"state": "alive"}

    return Litestar(
        [file, page_config, aged_cursor, healthz],
        exception_handlers={HTTPException: _refuse},
        response_headers={**SAFE_HEADERS, **HEADERS},
        logging_config=None,
        openapi_config=None,
    )


def _reached(config: ConsoleConfig, request: AnyRequest) -> PageConfig:
    host = request.headers.get("host", "")
    return PageConfig(tuple([reached(url, host) for url in config.edge_url]), reached(config.ingest_url, host))


def _refuse(_: AnyRequest, error: HTTPException) -> Response[Problem]:
    """Answer in the shape that errors have everywhere in tailrace."""
    allow = {"Allow": "GET, HEAD, OPTIONS"} if error.status_code == 405 else error.headers or {}
    headers = {**HEADERS, **SAFE_HEADERS, **allow}
    return Response(Problem(error.detail), status_code=error.status_code, headers=headers, media_type=MediaType.JSON)
