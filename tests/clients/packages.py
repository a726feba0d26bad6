"""Clients' packages from their registries, in a cache folder that outlives the tests."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

NPM = {
    "eventsource2": "eventsource2@npm:eventsource@2.0.2",
    "eventsource3": "eventsource3@npm:eventsource@3.0.7",
    "eventsource4": "eventsource4@npm:eventsource@4.0.0",
    "event-source-polyfill": "event-source-polyfill@1.0.31",
    "launchdarkly-eventsource": "launchdarkly-eventsource@2.0.3",
    "eventsource-client": "eventsource-client@1.1.3",
    "fetch-event-source": "@microsoft/fetch-event-source@2.0.1",
}
_INSTALL_S = 50


def npm_packages() -> Path:
    """Return a folder with all of `NPM` installed; skip the test if npm or its registry is missing."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (Debian: apt-get install nodejs npm)")
    return _kept("npm", ["npm", "install", "--no-audit", "--no-fund", "--silent", "--no-package-lock"], list(NPM.values()))


def _kept(kind: str, command: Sequence[str], packages: Sequence[str]) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tailrace-clients"
    kept = cache / f"{kind}-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:16]}"
    if kept.exists():
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=cache))
    try:
        done = subprocess.run([*command, *packages], cwd=folder, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the registry of {kind} doesn't answer")
    if done.returncode:
        pytest.skip(f"{kind} can't install {packages}: {done.stderr[-300:]}")
    return folder.rename(kept)
