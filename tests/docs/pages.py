"""The documents and their fenced blocks.

A block's first word says what becomes of it: `sh` and `python` are run, `sh running` is started and left running until its page has
been gone through, and everything else (`console` above all) is shown only. Python whose first line is a comment with a file's name
(`# shop.py`) is kept under that name, so that what follows can import it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (?P<name>[a-z_]+\.py)\n")


class Block(NamedTuple):
    """A fenced block, and where it stands."""

    language: str
    """The info string's first word, ..."""
    mark: str
    """... and its rest."""
    code: str
    line: int

    @property
    def file(self) -> str:
        """Name of the file that the block shows; empty where it shows none."""
        match = _FILE.match(self.code)
        return match["name"] if match else ""


def name(page: Path) -> str:
    """Give a page's path as people write it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """Read a page's blocks, in order."""
    text = page.read_text()
    for match in _FENCE.finditer(text):
        language, _, mark = match["info"].strip().partition(" ")
        yield Block(language, mark, match["code"], text.count("\n", 0, match.start()) + 2)


def prose(page: Path) -> str:
    """Give a page's text without its blocks."""
    return _FENCE.sub("", page.read_text())
