"""Python values that JSON or msgspec can't hold: pydantic's models, which are never imported here, and numbers without a JSON form."""

import math
import sys
from typing import Any

import msgspec
from msgspec import Raw

from tailrace.wire._errors import PushError


def is_model_class(value: Any) -> bool:
    """Say whether something is a model class of pydantic 2; whoever has one has imported pydantic."""
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    return base is not None and isinstance(value, type) and issubclass(value, base) and hasattr(base, "model_dump_json")


def encode_foreign(value: Any) -> Raw:
    """Write what msgspec can't: msgspec's `enc_hook`. Raises TypeError: it is no pydantic model either."""
    if is_model_class(type(value)):
        return Raw(value.model_dump_json().encode())
    raise TypeError(f"Encoding objects of type {type(value).__qualname__} is unsupported")


def check_numbers(value: Any, path: str) -> None:
    """See that a value holds no number without a JSON form, for which msgspec writes null.

    It walks through all of the value, so it is for values whose JSON holds a null. Raises PushError: it holds NaN or Infinity.
    """
    pending = [value]
    while pending:
        found = pending.pop()
        if isinstance(found, float) and not math.isfinite(found):
            raise PushError(f"holds {found}, which JSON can't hold", path)
        if isinstance(found, dict):
            pending += found.values()
        elif isinstance(found, list | tuple | set | frozenset):
            pending += found
        elif not isinstance(found, str | float | int | bytes | Raw | None):
            pending.append(_fields(found))


def _fields(value: Any) -> Any:
    """Return a Struct, dataclass or the like as a dict; None for what has no fields, or holds JSON that is written already."""
    try:
        return msgspec.to_builtins(value, enc_hook=lambda _: None)
    except TypeError:
        return None
