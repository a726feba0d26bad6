"""Models of pydantic, which is an option of the application's and is never imported here."""

import sys
from typing import Any

from msgspec import Raw


def is_model_class(value: Any) -> bool:
    """Say whether something is a model class of pydantic 2; whoever has one has imported pydantic."""
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    return base is not None and isinstance(value, type) and issubclass(value, base) and hasattr(base, "model_dump_json")


def encode_foreign(value: Any) -> Raw:
    """Write what msgspec can't: msgspec's `enc_hook`. Raises TypeError: it is no pydantic model either."""
    if is_model_class(type(value)):
        return Raw(value.model_dump_json().encode())
    raise TypeError(f"Encoding objects of type {type(value).__qualname__} is unsupported")
