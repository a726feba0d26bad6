"""pytest fixtures: `pytest_plugins = ["tailrace.testing"]` in the root conftest.py makes them available."""

from collections.abc import Iterator, Sequence

import pytest

from tailrace.testing._system import System


@pytest.fixture(scope="session")
def tailrace_functions() -> Sequence[str]:
    """Name the modules whose functions the worker runs; override it in your conftest.py."""
    return ()


@pytest.fixture(scope="session")
def tailrace(tailrace_functions: Sequence[str]) -> Iterator[System]:
    """Run a whole tailrace for the session. Tests share it, so each should use channels of its own."""
    with System(functions=tailrace_functions) as system:
        yield system
