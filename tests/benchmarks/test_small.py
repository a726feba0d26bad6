"""The benchmarks run, and count what they say they count."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import delivery, growth
from tests.benchmarks._figures import read_report

pytestmark = [pytest.mark.prove, pytest.mark.timeout(300)]


def test_a_small_run_measures_all_that_the_pages_show(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks",
        "--small",
        "--only",
        "delivery",
        "--side",
        "tailrace",
        "--json",
        str(tmp_path / "json"),
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "events came" not in said, "the generator missed some"
    figures = read_report(tmp_path / "json").figures
    assert {figure.bench for figure in figures} == {
        *(delivery.SINGLE, delivery.BURST, delivery.LATENCY, delivery.IDLE, delivery.ACCEPT, delivery.GENERATOR),
        *(growth.CHANNELS, growth.PASS, growth.READERS),
    }
    assert all(value > 0 for figure in figures for value in figure.values if figure.measure != "kernel KB/connection")
