"""Decodes a function's argument from the bytes of its job. Decoders are made, and types refused, when the function is declared."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

import msgspec
from msgspec.inspect import CustomType, Field, Type, type_info

from tailrace.wire import PushError, SetupError, convert_error, is_model_class

Reader = Callable[[bytes], Any]
"""Reads JSON. Raises PushError, whose path begins at the argument (`$.sender`)."""


def reader_of(kind: Any) -> Reader:
    """Make the decoder of a type: pydantic's if the type names a pydantic model, otherwise msgspec's.

    Raises SetupError: the type can't be read from JSON.
    """
    try:
        return _pydantics(kind) if _names_model(kind) else _msgspecs(kind)
    except SetupError:
        raise
    except Exception as error:  # either library's complaint about the type
        raise SetupError(str(error)) from error


def _names_model(kind: Any) -> bool:
    return is_model_class(kind) or any(_names_model(each) for each in get_args(kind))


def _msgspecs(kind: Any) -> Reader:
    for each in _customs(type_info(kind), set()):
        if not is_model_class(each):
            raise SetupError(f"type {getattr(each, '__qualname__', each)} can't be read from JSON")
    decode = msgspec.json.Decoder(kind, dec_hook=_read_model).decode

    def read(text: bytes) -> Any:
        try:
            return decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PushError(*convert_error(error, source=text).args) from None

    return read


def _customs(node: Any, seen: set[int]) -> Iterator[Any]:
    """List the classes in a type that msgspec doesn't support."""
    if isinstance(node, CustomType) and node.cls is not object:
        yield node.cls
    if not isinstance(node, Type | Field | tuple) or id(node) in seen:
        return
    seen.add(id(node))
    for each in node if isinstance(node, tuple) else [getattr(node, name) for name in node.__struct_fields__]:
        yield from _customs(each, seen)


def _read_model(kind: Any, value: Any) -> Any:
    """Decode a pydantic model inside a Struct: msgspec's `dec_hook`."""
    if kind is object:
        return value
    try:
        return kind.model_validate(value)
    except sys.modules["pydantic"].ValidationError as error:
        found = _first(error)  # msgspec adds the path of the model
        raise ValueError(f"{found.path[2:]}: {found.message}" if found.path != "$" else found.message) from None


def _pydantics(kind: Any) -> Reader:
    pydantic = sys.modules["pydantic"]
    validate = pydantic.TypeAdapter(kind).validate_json

    def read(text: bytes) -> Any:
        try:
            return validate(text)
        except pydantic.ValidationError as error:
            raise _first(error) from None

    return read


def _first(error: Any) -> PushError:
    """Return the first of pydantic's errors."""
    first = error.errors(include_url=False)[0]
    return PushError(first["msg"], _path(first["loc"]))


def _path(places: Sequence[int | str]) -> str:
    return "$" + "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in places)
