"""docs/settings.md says what the configuration Structs say."""

from tests.docs.settings import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.docs.settings"
