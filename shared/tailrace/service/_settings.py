"""Settings: each field of a configuration Struct is a flag, an environment variable and a default, in this order of precedence."""

import argparse
import os
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

import msgspec

Config = TypeVar("Config", bound=msgspec.Struct)

# Variables whose names differ from their fields.
_VARIABLES = {"redis": "TAILRACE_REDIS_URL", "queue_redis": "TAILRACE_QUEUE_URL"}
_SCALARS = (
    msgspec.inspect.StrType,
    msgspec.inspect.IntType,
    msgspec.inspect.FloatType,
    msgspec.inspect.BoolType,
    msgspec.inspect.LiteralType,
)
_WORDS = {"yes": True, "no": False}  # beside true, false, 1 and 0
_SEQUENCES = (msgspec.inspect.VarTupleType, msgspec.inspect.ListType)


class SettingsError(Exception):
    """A setting is wrong: the message names it, and the command exits with status 2."""


def add_settings(parser: argparse.ArgumentParser, config: type[msgspec.Struct]) -> None:
    """Add a flag for each field of `config` that is a number, string, boolean, or a sequence of them."""
    group = parser.add_argument_group("settings", "A flag takes precedence over its variable, and the variable over the default.")
    for field in _fields(config):
        kind, description = _unwrapped(field.type)
        many = isinstance(kind, _SEQUENCES)
        if not (isinstance(_item(kind), _SCALARS)):
            continue
        group.add_argument(
            flag_of(field.name),
            dest=field.name,
            default=argparse.SUPPRESS,
            help=_help(field, description).replace("%", "%%"),
            **_action(kind, many=many),
        )


def read_settings(config: type[Config], namespace: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Config:
    """Build `config` from flags, variables and defaults.

    Raises:
        SettingsError: a value is invalid; the message names its flag or variable.
    """
    hints = get_type_hints(config, include_extras=True)
    values = {}
    for field in _fields(config):
        found = _found(field, namespace, environ)
        if found is not None:
            source, raw = found
            values[field.name] = _converted(source, raw, hints[field.name])
    try:
        return config(**values)
    except (TypeError, ValueError) as error:
        raise SettingsError(str(error)) from error


def flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    return _VARIABLES.get(name, f"TAILRACE_{name.upper()}")


def _found(field: msgspec.inspect.Field, namespace: argparse.Namespace, environ: Mapping[str, str]) -> tuple[str, Any] | None:
    """Return where a value was set and the value, or None for the default. An empty variable counts as unset."""
    if hasattr(namespace, field.name):
        return flag_of(field.name), getattr(namespace, field.name)
    variable = variable_of(field.name)
    text = environ.get(variable, "")
    kind, _ = _unwrapped(field.type)
    if not text or not isinstance(_item(kind), _SCALARS):
        return None
    if isinstance(kind, _SEQUENCES):
        return variable, [item.strip() for item in text.split(",") if item.strip()]
    if isinstance(kind, msgspec.inspect.BoolType):
        return variable, _WORDS.get(text.lower(), text)
    return variable, text


def _converted(source: str, raw: object, kind: object) -> object:
    try:
        return msgspec.convert(raw, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{source}: {error} (given: {raw})") from error


def _fields(config: type[msgspec.Struct]) -> tuple[msgspec.inspect.Field, ...]:
    info = msgspec.inspect.type_info(config)
    if not isinstance(info, msgspec.inspect.StructType):
        raise TypeError(f"{config!r} is not a msgspec.Struct")
    return info.fields


def _unwrapped(kind: msgspec.inspect.Type) -> tuple[msgspec.inspect.Type, str]:
    """Separate a type from its description, and from None in a union with one other member."""
    description = ""
    while isinstance(kind, msgspec.inspect.Metadata | msgspec.inspect.UnionType):
        if isinstance(kind, msgspec.inspect.Metadata):
            description = description or str((kind.extra_json_schema or {}).get("description", ""))
            kind = kind.type
            continue
        others = [each for each in kind.types if not isinstance(each, msgspec.inspect.NoneType)]
        if len(others) != 1:
            break
        kind = others[0]
    return kind, description


def _item(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    if isinstance(kind, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
        return _unwrapped(kind.item_type)[0]
    return kind


def _action(kind: msgspec.inspect.Type, *, many: bool) -> dict[str, Any]:
    if isinstance(kind, msgspec.inspect.BoolType):
        return {"action": argparse.BooleanOptionalAction}
    metavars: dict[type[msgspec.inspect.Type], str] = {
        msgspec.inspect.IntType: "N",
        msgspec.inspect.FloatType: "N",
        msgspec.inspect.LiteralType: "WORD",
    }
    return {"action": "append" if many else "store", "metavar": metavars.get(type(_item(kind)), "TEXT")}


def _help(field: msgspec.inspect.Field, description: str) -> str:
    default = field.default if field.default is not msgspec.NODEFAULT else None
    shown = ", ".join(map(_plain, default if isinstance(default, tuple | list) else [default])) if default not in (None, "", ()) else "none"
    return f"{description} [default: {shown}; {variable_of(field.name)}]".strip()


def _plain(value: object) -> str:
    """Format a default as a user would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
