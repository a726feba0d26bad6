from pathlib import Path

import pytest


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Redis is named, no `tailrace up` runs, and none answers at the default address."""
    monkeypatch.delenv("TAILRACE_REDIS_URL", raising=False)
    monkeypatch.delenv("TAILRACE_QUEUE_URL", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("tailrace.cli._locate._DEFAULT", "redis://127.0.0.1:1/0")
