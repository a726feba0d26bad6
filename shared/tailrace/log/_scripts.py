"""The Lua scripts: each a file beside this module, put together from the parts that it needs."""

from importlib.resources import files

_PARTS = {
    "emit": ("generation", "append"),
    "commit": ("generation", "append"),
    "sync": ("generation",),
    "read": ("generation",),
    "trim": ("generation",),
}
_FILES = {file.name.removesuffix(".lua"): file.read_text() for file in files(__package__).joinpath("lua").iterdir()}


def script(name: str) -> str:
    """Return the text of a script, its parts before it and its shebang first of all."""
    text = _FILES[name]
    flags, _, text = text.partition("\n") if text.startswith("#!") else ("", "", text)
    return "\n".join([flags, *[_FILES[part] for part in _PARTS.get(name, ())], text]).lstrip()
