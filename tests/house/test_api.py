"""The public names of every package, pinned: a name that comes or goes is a decision, taken here."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    f"tailrace.{folder.name}"
    for source in ("services", "workers", "shared")
    for folder in (ROOT / source / "tailrace").iterdir()
    if folder.is_dir() and folder.name != "__pycache__"
)
API = {
    "tailrace.cli": [
        "Command",
        "SettingsError",
        "add_settings",
        "announce",
        "bind",
        "configure_logging",
        "main",
        "read_settings",
        "redact",
    ],
}


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names(package: str) -> None:
    assert sorted(importlib.import_module(package).__all__) == API[package]


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_exist(package: str) -> None:
    module = importlib.import_module(package)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_other_modules_are_private(package: str) -> None:
    (folder,) = importlib.import_module(package).__path__
    assert [path.name for path in Path(folder).rglob("*.py") if not path.name.startswith("_")] == []


def test_tailrace_is_a_namespace() -> None:
    assert list(ROOT.glob("*/tailrace/__init__.py")) == []
