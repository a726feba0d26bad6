"""Every figure on a page is one of docs/internals/benchmarks.json."""

from pathlib import Path

import pytest

from tests.benchmarks._figures import read_report
from tests.benchmarks._page import RESULTS, pages

PAGES = pages(read_report(RESULTS))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_page_says_what_was_measured(path: Path) -> None:
    assert path.read_text() == PAGES[path], "write it anew: python -m tests.benchmarks --pages"


def test_all_that_the_scaling_page_asks_for_was_measured() -> None:
    text = next(text for path, text in PAGES.items() if path.name == "scaling.md")
    assert "?" not in text
    assert "@" not in text
