"""The benchmarks run, and count what they say they count."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import commits, delivery, growth, ingestion, waiting
from tests.benchmarks._figures import Report, read_report

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]


def _small(path: Path, *words: str) -> tuple[str, Report]:
    command = [sys.executable, "-m", "tests.benchmarks", "--small", *words, "--json", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout, read_report(path)


def test_a_small_run_measures_all_that_the_pages_show(tmp_path: Path) -> None:
    said, report = _small(tmp_path / "json", "--side", "tailrace")
    assert "not measured" not in report.about
    assert "events came" not in said, "the generator missed some"
    assert {figure.bench for figure in report.figures} == {
        *(delivery.SINGLE, delivery.BURST, delivery.LATENCY, delivery.IDLE, delivery.ACCEPT, delivery.GENERATOR),
        *(growth.CHANNELS, growth.PASS, growth.READERS, commits.COMMITS),
        *(ingestion.JOBS, ingestion.MANY, ingestion.ENQUEUE, ingestion.SEVERAL, waiting.APPEND, waiting.BROWSER, waiting.DUE),
    }
    late = report.figure(waiting.DUE, "p50 ms", "", ingestion.TAILRACE)
    assert late
    assert late.median > 0, "a job's event came before its time"
    assert all(value > 0 for figure in report.figures for value in figure.values if figure.measure != "kernel KB/connection")


def test_every_peer_that_is_here_is_measured(tmp_path: Path) -> None:
    _, report = _small(tmp_path / "json", "--only", delivery.BURST, "--only", waiting.APPEND)
    assert "not measured" not in report.about
    measured = {figure.side for figure in report.figures if figure.bench != delivery.GENERATOR}
    missing = {name.removeprefix("without ") for name in report.about if name.startswith("without ")}
    assert measured.isdisjoint(missing)
    assert len(measured | missing) == 5 + 5
