"""Lua scripts: each a file in a package's folder `lua`, put together from the parts that it needs."""

from collections.abc import Mapping, Sequence
from importlib.resources import files


class Scripts:
    """The scripts of one package."""

    def __init__(self, package: str, parts: Mapping[str, Sequence[str]] | None = None) -> None:
        """Read all files; `parts` says which others stand before a script's own text."""
        self._parts = parts or {}
        self.files = {file.name.removesuffix(".lua"): file.read_text(encoding="utf-8") for file in files(package).joinpath("lua").iterdir()}

    def __call__(self, name: str) -> str:
        """Return the text of a script, its parts before it and its shebang first of all."""
        text = self.files[name]
        shebang, _, text = text.partition("\n") if text.startswith("#!") else ("", "", text)
        return "\n".join([shebang, *[self.files[part] for part in self._parts.get(name, ())], text]).lstrip()
