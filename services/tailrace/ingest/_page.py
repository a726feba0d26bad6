"""The page at `/schema`: the OpenAPI document as HTML, without a script and with nothing from elsewhere."""

import re
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

from tailrace.service import page_headers

Json = Mapping[str, Any]
_BOUNDS = {"minimum": "from {}", "maximum": "to {}", "maxLength": "at most {} characters"}
_page = files(__package__).joinpath("page.html").read_text()
HEADERS = page_headers(_page)
"""What every answer is served with."""


class PagePlugin(OpenAPIRenderPlugin):
    """Shows the document to people; programs take it from `/schema/openapi.json`."""

    def __init__(self) -> None:
        super().__init__(path="/page")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002 - Litestar's signature
        """Write the page."""
        info = openapi_schema["info"]
        operations = [
            _operation(f"{method.upper()} {path}", operation)
            for path, methods in openapi_schema["paths"].items()
            for method, operation in methods.items()
            if isinstance(operation, dict)
        ]
        filled = {"title": info["title"], "version": info["version"], "description": info["description"]}
        page = re.sub(r"\{\{(\w+)\}\}", lambda match: escape(filled[match[1]]), _page)
        return page.replace("<!-- operations -->", "\n".join(operations)).encode()


def _operation(name: str, operation: Json) -> str:
    parts = [f"<section><h2><code>{escape(name)}</code></h2><p>{_prose(operation['summary'])}.</p>"]
    if parameters := operation.get("parameters"):
        rows = [(each["name"], f"in the {each['in']}", _prose(each.get("description", ""))) for each in parameters]
        parts.append(f"<h3>Parameters</h3>{_table(rows)}")
    if body := operation.get("requestBody"):
        parts.append(f"<h3>Body</h3>{_shape(body['content']['application/json']['schema'])}")
    parts.append("<h3>Answers</h3>")
    for status, answer in operation["responses"].items():
        said = f"<summary><b>{escape(status)}</b> {_prose(answer['description'])}</summary>"
        parts.append(f"<details>{said}{_shape(answer['content']['application/json']['schema'])}</details>")
    return "".join([*parts, "</section>"])


def _shape(schema: Json) -> str:
    """Show an object's fields, and whether it may be an array of such objects."""
    alternatives = schema.get("anyOf", [schema])
    (one,) = [each for each in alternatives if "properties" in each]
    rows = [(name, _kind(field), _told(field, name in one.get("required", ()))) for name, field in one["properties"].items()]
    return ("<p>One of these, or an array of them.</p>" if len(alternatives) > 1 else "") + _table(rows)


def _kind(schema: Json) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys([_kind(each) for each in schema["anyOf"] if each.get("type") != "null"]))
    if "enum" in schema:
        return " or ".join([f"“{each}”" for each in schema["enum"]])
    if schema.get("type") == "array":
        return f"array of {_kind(schema['items'])}"
    return str(schema.get("title") or schema.get("type", "any JSON"))


def _told(schema: Json, required: bool) -> str:
    said = ["required"] if required else []
    said += [_prose(schema["description"].rstrip("."))] if "description" in schema else []
    for each in schema.get("anyOf", [schema]):
        said += [text.format(f"{each[bound]:,}") for bound, text in _BOUNDS.items() if bound in each]
        said += [f"matches <code>{escape(each['pattern'])}</code>"] if "pattern" in each else []
    if schema.get("default") is not None:
        said.append(f"by default <code>{escape(msgspec.json.encode(schema['default']).decode())}</code>")
    return "; ".join(said)


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    """Write rows of a name, what it is, and what there is to say of it (HTML)."""
    cells = [f"<tr><th scope=row><code>{escape(name)}</code></th><td>{escape(kind)}</td><td>{told}</td></tr>" for name, kind, told in rows]
    return f"<table>{''.join(cells)}</table>"


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
