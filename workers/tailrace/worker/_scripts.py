"""The Lua scripts: each a file beside this module, put together from the parts that it needs."""

from importlib.resources import files

_PARTS = {
    "acquire": ("batch",),
    "take": ("batch",),
    "finish": ("batch", "payload", "bell", "ending"),
    "claim": ("payload", "bell", "claims"),
    "keep": ("payload", "claims"),
    "settle": ("payload", "bell", "claims", "ending"),
    "shelve": ("payload", "bell", "claims"),
    "tick": ("payload", "claims"),
}
_FILES = {file.name.removesuffix(".lua"): file.read_text() for file in files(__package__).joinpath("lua").iterdir()}


def script(name: str) -> str:
    """Return the text of a script, its parts before it and its shebang first of all."""
    flags, _, text = _FILES[name].partition("\n")
    return "\n".join([flags, *[_FILES[part] for part in _PARTS.get(name, ())], text])
