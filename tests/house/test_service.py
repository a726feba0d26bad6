"""`Service` starts what prints its ready line, whatever becomes of it then."""

from pathlib import Path

import pytest

from tests.support.service import Service


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script"
    path.touch(0o755)
    return path


def test_a_process_that_was_ready_and_has_ended_was_started(script: Path) -> None:
    script.write_text("#!/bin/sh\necho tailrace worker ready\nexit 3\n")
    for _ in range(20):
        with Service("worker", python=script) as service:
            assert service.wait() == 3
            service.start()
            assert service.wait() == 3


def test_a_process_that_ends_without_a_ready_line_was_not(script: Path) -> None:
    script.write_text("#!/bin/sh\necho no >&2\n")
    with pytest.raises(RuntimeError, match="no"), Service("worker", python=script):
        pass
