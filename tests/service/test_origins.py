"""Origins that no browser sends are refused where they are set."""

import pytest

from tailrace.edge import EdgeConfig
from tailrace.ingest import IngestConfig
from tailrace.service import check_origins


@pytest.mark.parametrize("origin", ["https://example.org", "http://127.0.0.1:8000", "http://[::1]:8000", "chrome-extension://abc", "*"])
def test_origins_of_browsers_are_taken(origin: str) -> None:
    check_origins([origin])


@pytest.mark.parametrize("origin", ["https://example.org/", "example.org", "https://Example.org", "https://a@b", "https://", "** "])
@pytest.mark.parametrize("config", [EdgeConfig, IngestConfig])
def test_what_never_matches_is_refused(config: type[EdgeConfig | IngestConfig], origin: str) -> None:
    with pytest.raises(ValueError, match=r"--origins \(TAILRACE_ORIGINS\): .* such as https://example\.org"):
        config(origins=("*", origin))
