"""The Lua scripts: each a file beside this module, put together from the parts that it needs."""

from functools import cache
from importlib.resources import files

_PARTS = {
    "acquire": ("batch",),
    "take": ("batch",),
    "finish": ("batch", "ending"),
    "bury": ("ending",),
}


@cache
def script(name: str) -> str:
    """Return the text of a script, its parts before it and its shebang first of all."""
    flags, _, text = _file(name).partition("\n")
    return "\n".join([flags, *map(_file, _PARTS.get(name, ())), text])


def _file(name: str) -> str:
    return files(__package__).joinpath("lua", f"{name}.lua").read_text()
