"""Lua scripts: each is a file in a package's folder `lua`, completed with the parts and the helpers that it needs.

`lua/prelude.lua` of this package holds helpers that any script may call. A script gets those that it calls, and no others: a helper costs
nothing where it isn't used. Files are read when a script is first asked for; importing a package reads none.
"""

import pkgutil
import re
from collections.abc import Mapping, Sequence

_DEFINES = re.compile(r"^local function (\w+)", re.MULTILINE)


class Scripts:
    """The scripts of one package."""

    def __init__(self, package: str, parts: Mapping[str, Sequence[str]] | None = None) -> None:
        """`parts` names, for each script, the files of the same package that precede its own text."""
        self.package, self._parts = package, parts or {}
        self.sources: dict[str, str] = {}
        """The files that have been read, by name. What is put here is used instead of the file."""

    def source(self, name: str) -> str:
        """Return the text of one file. Raises FileNotFoundError."""
        if name not in self.sources:
            self.sources[name] = _read(self.package, name)
        return self.sources[name]

    def __call__(self, name: str) -> str:
        """Return a script that Redis can run: its shebang, the helpers that it calls, its parts, and its own text."""
        text = self.source(name)
        shebang, _, text = text.partition("\n") if text.startswith("#!") else ("", "", text)
        text = "\n".join([*[self.source(part) for part in self._parts.get(name, ())], text])
        return "\n".join([shebang, *_helpers(text), text]).lstrip()


def _read(package: str, name: str) -> str:
    return (pkgutil.get_data(package, f"lua/{name}.lua") or b"").decode()


def _helpers(text: str) -> list[str]:
    """Return the prelude's helpers that a text calls, and those that they call, in the prelude's order."""
    called: list[str] = []
    for helper in reversed(_read("tailrace.redis", "prelude").strip().split("\n\n")):
        defined = _DEFINES.search(helper)
        if defined and re.search(rf"\b{defined[1]}\(", "\n".join([*called, text])):
            called.insert(0, helper + "\n")
    return called
