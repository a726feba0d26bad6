"""Writes llms.txt, the index of the documents for language models: `python -m tests.docs.llms` (llmstxt.org has the format)."""

import re
from pathlib import Path

from tests.docs.pages import PAGES, ROOT, name, prose

INDEX = ROOT / "llms.txt"
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)
_PARAGRAPH = re.compile(r"^(?=[A-Za-z`]|\*\*)(.+?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
_SENTENCE = re.compile(r".+?[.:](?=\s|$)", re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_GROUPS = {"Guides": "docs/guides/", "Examples": "docs/examples/", "Internals": "docs/internals/"}
_LEFT_OUT = {"README.md", "docs/zh-CN.md"}


def summary(page: Path) -> str:
    """Return the first sentence of a page, without links."""
    paragraph = _PARAGRAPH.search(_HEADING.sub("", prose(page), count=1))
    assert paragraph, f"{name(page)} opens without a paragraph"
    sentence = _SENTENCE.match(paragraph[1])
    text = " ".join((sentence[0] if sentence else paragraph[1]).split())
    return _LINK.sub(r"\1", text).rstrip(":")


def _line(page: Path) -> str:
    title = _HEADING.search(page.read_text())
    assert title, f"{name(page)} has no title"
    return f"- [{title[1]}]({name(page)}): {summary(page)}"


def _group(page: Path) -> str:
    return next((group for group, folder in _GROUPS.items() if name(page).startswith(folder)), "Documents")


def index() -> str:
    """Write the index."""
    listed = [page for page in PAGES if name(page) not in _LEFT_OUT]
    parts = [f"# tailrace\n\n> {summary(ROOT / 'README.md')}"]
    for group in ("Documents", *_GROUPS):
        lines = [_line(page) for page in listed if _group(page) == group]
        parts += [f"## {group}\n\n" + "\n".join(lines)] if lines else []
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    INDEX.write_text(index())
    print(f"{name(INDEX)} is written")
