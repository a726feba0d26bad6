"""The OpenAPI document: requests and answers as msgspec describes the very Structs that are used."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
)

from tailrace.ingest._answers import Accepted, JobAnswer
from tailrace.ingest._page import PagePlugin
from tailrace.service import Problem
from tailrace.wire import PushRequest, Receipt

Responses = dict[str, OpenAPIResponse | Reference]
_SHOWN: dict[str, Any] = {
    "Push": PushRequest | list[PushRequest],
    "Receipt": Receipt | list[Receipt],
    "Accepted": Accepted,
    "Job": JobAnswer,
    "Problem": Problem,
}
_given, _named = msgspec.json.schema_components(_SHOWN.values(), ref_template="{name}")


def _inlined(schema: Any) -> Any:
    """Put what is referred to in its place, for Litestar drops all components that aren't its own."""
    match schema:
        case {"$ref": name}:
            return _inlined(_named[name])
        case dict():
            return {key: _inlined(value) for key, value in schema.items()}
        case list():
            return [_inlined(value) for value in schema]
        case _:
            return schema


_ALWAYS = {
    "401": "The token is missing or wrong.",
    "403": "A page of an origin that may not push asked (`--origins`).",
    "503": "Redis is away, full or refuses; see `Retry-After`.",
}
_schemas = dict(zip(_SHOWN, map(_inlined, _given), strict=True))


@dataclass
class _Given(Schema):
    """A schema that is JSON already."""

    json: dict[str, Any] = field(default_factory=dict)

    def to_schema(self) -> dict[str, Any]:
        return self.json


def _response(name: str, description: str) -> OpenAPIResponse:
    content = {"application/json": OpenAPIMediaType(schema=_Given(json=_schemas[name]))}
    return OpenAPIResponse(description=description, content=content)


def _responses(good: dict[str, tuple[str, str]], bad: dict[str, str]) -> Responses:
    answers: Responses = {status: _response(*what) for status, what in good.items()}
    bad = bad | _ALWAYS
    answers.update({status: _response("Problem", text) for status, text in bad.items()})
    return dict(sorted(answers.items()))


_PREFER = Parameter(
    name="Prefer",
    param_in="header",
    description="RFC 7240: `wait=N` waits N seconds for the receipt, `respond-async` not at all.",
    schema=Schema(examples=["wait=10", "respond-async"]),
)


@dataclass
class PushOperation(Operation):
    """`POST /push`."""

    def __post_init__(self) -> None:
        """Fill in what the handler's signature doesn't say."""
        content = {"application/json": OpenAPIMediaType(schema=_Given(json=_schemas["Push"]))}
        self.request_body = RequestBody(content=content, required=True)
        self.parameters = [_PREFER]
        self.responses = _responses(
            {
                "200": ("Receipt", "It has ended: its receipt, or for an array theirs, in the same order."),
                "202": ("Accepted", "It is in the queue; `Location` tells of it."),
            },
            {
                "400": "The body isn't JSON.",
                "404": "The client is neither connected nor away; nothing was appended.",
                "408": "The body didn't come in time.",
                "409": "The job was cancelled while this waited.",
                "410": "It expired before it could be appended.",
                "413": "`data` or `text` has more than 1 MiB, the body more than 16 MiB, or an array more than 10,000 pushes.",
                "415": "The body is compressed (`Content-Encoding`).",
                "422": "A value is wrong: `path` names the field. Nothing is appended.",
                "429": "Too much comes at once; see `Retry-After`.",
                "500": "It became a dead letter, and no field is to blame.",
            },
        )


@dataclass
class JobOperation(Operation):
    """`GET /jobs/{id}`."""

    def __post_init__(self) -> None:
        """Fill in what the handler's signature doesn't say."""
        self.responses = _responses({"200": ("Job", "Where the job is.")}, {"404": "Unknown, or forgotten (after 1 h)."})


@dataclass
class CancelOperation(Operation):
    """`DELETE /jobs/{id}`."""

    def __post_init__(self) -> None:
        """Fill in what the handler's signature doesn't say."""
        bad = {"404": "Unknown, or forgotten (after 1 h).", "409": "Too late: a worker has it, or it has ended."}
        self.responses = _responses({"200": ("Job", "It is cancelled.")}, bad)


def openapi(version: str, *, token: bool) -> OpenAPIConfig:
    """Describe ingest."""
    components = Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer")} if token else None)
    return OpenAPIConfig(
        title="tailrace ingest",
        version=version,
        path="/schema",
        description="Push events to browsers. The push is answered from its receipt.",
        components=components,
        security=[{"token": []}] if token else None,
        render_plugins=[PagePlugin()],
    )
