"""llms.txt lists the documents that are there."""

from tests.docs.llms import INDEX, index


def test_the_index_is_up_to_date() -> None:
    assert INDEX.read_text() == index(), "write it again: python -m tests.docs.llms"
