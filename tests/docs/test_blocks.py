"""What the documents print is run as it is printed."""

from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, blocks, name, prose
from tests.docs.system import Reader, System

SHOWN = {"console", "js", "json", "text"}
RUN = {"sh", "python"}


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.language in RUN for block in blocks(page))], ids=name)
def test_every_block_does_what_it_says(page: Path, system: System, tmp_path: Path) -> None:
    with Reader(system, tmp_path) as reader:
        for block, after in pairwise([*blocks(page), None]):
            assert block
            try:
                reader.follow(block, after if after and after.language == "json" else None)
            except AssertionError as error:
                pytest.fail(f"{name(page)}:{block.line}: {error}", pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_what_it_is(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= SHOWN | RUN
    assert {block.mark for block in blocks(page)} <= {"", "running"}
    indented = [line for line in prose(page).splitlines() if line.startswith("    ")]
    assert indented == [], "an indented block isn't run: fence it"
