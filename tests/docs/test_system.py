"""The reader of the documents notices what doesn't work."""

from pathlib import Path

import pytest

from tests.docs.pages import Block
from tests.docs.system import Reader, System


@pytest.mark.parametrize(
    "block",
    [
        Block("sh", "", "true\nfalse\ntrue\n", 1),
        Block("sh", "", "echo $nothing\n", 1),
        Block("sh", "", "curl -s http://127.0.0.1:8001/push -d '{}'\n", 1),
        Block("sh", "running", "true\n", 1),
        Block("python", "", "1 / 0\n", 1),
    ],
    ids=lambda block: block.code,
)
def test_what_fails_is_told(block: Block, system: System, tmp_path: Path) -> None:
    with Reader(system, tmp_path) as reader, pytest.raises(AssertionError):
        reader.follow(block)


def test_what_is_printed_is_held_against_what_the_page_shows(system: System, tmp_path: Path) -> None:
    with Reader(system, tmp_path) as reader:
        reader.follow(Block("sh", "", """echo '{"a": 1, "b": 2}'\n""", 1), Block("json", "", '{"a": 1}', 4))
        with pytest.raises(AssertionError):
            reader.follow(Block("sh", "", """echo '{"a": 1}'\n""", 1), Block("json", "", '{"a": 2}', 4))


def test_a_stream_that_brings_nothing_is_told(system: System, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="nothing came"), Reader(system, tmp_path) as reader:
        reader.follow(Block("sh", "running", "curl -sN 'http://127.0.0.1:8000/sse?channel=nobody.pushes.here'\n", 1))
