"""The system that the documents are tried on, started once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, blocks
from tests.docs.system import System


def functions() -> dict[str, str]:
    """Find the modules with functions in the documents, by file; a name means the same everywhere."""
    found: dict[str, str] = {}
    for page in PAGES:
        for block in blocks(page):
            if block.file and any(word in block.code for word in ("@function", "@every", "class WorkerSettings")):
                assert found.setdefault(block.file, block.code) == block.code, f"{page}: two things are called {block.file}"
    return found


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder: Path = tmp_path_factory.mktemp("system")
    folder.chmod(0o700)
    with System(folder, functions()) as running:
        yield running
