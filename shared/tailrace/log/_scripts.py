"""The Lua scripts: each a file beside this module, put together from the parts that it needs."""

from functools import cache
from importlib.resources import files

_PARTS = {
    "emit": ("generation", "append"),
    "commit": ("generation", "append"),
    "sync": ("generation",),
    "read": ("generation",),
}


@cache
def script(name: str) -> str:
    """Return the text of a script, its parts before it and its shebang first of all."""
    text = _file(name)
    flags, _, text = text.partition("\n") if text.startswith("#!") else ("", "", text)
    return "\n".join([flags, *map(_file, _PARTS.get(name, ())), text]).lstrip()


def _file(name: str) -> str:
    return files(__package__).joinpath("lua", f"{name}.lua").read_text()
