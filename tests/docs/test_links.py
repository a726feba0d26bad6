"""What the documents point to is there."""

import re
from pathlib import Path

import pytest

import tailrace
from tests.docs.pages import PAGES, name, prose

_LINK = re.compile(r"(?:\]\(|(?:src|href|srcset)=\")(?!https?://|mailto:)([^)\s\"]*)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Give the names that GitHub gives to a page's headings."""
    words = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(prose(page))]
    return set(words)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_the_modules_that_the_architecture_names_are_there() -> None:
    (page,) = [page for page in PAGES if name(page) == "docs/architecture.md"]
    named = re.findall(r"`(\w+/[\w/]+\.(?:py|lua))`", page.read_text())
    assert len(named) > 40
    found = {path.relative_to(root).as_posix() for root in map(Path, tailrace.__path__) for path in root.rglob("*.*")}
    assert [path for path in named if path not in found] == []


def test_the_two_commands_stand_on_the_first_page() -> None:
    (readme,) = [page for page in PAGES if name(page) == "README.md"]
    assert "make up" in readme.read_text()
    assert "make test" in readme.read_text()
