"""What the machine tells of itself, and what is left where it tells nothing."""

from pathlib import Path

from tailrace.demo._gauges import cpu_percent, memory, read_cpu

STAT = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 100 0 50 800 50 0 0 0 0 0\n"
NOWHERE = Path("/nowhere")


def test_ticks(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(STAT)
    assert read_cpu(tmp_path / "stat") == (850, 1000)
    (tmp_path / "stat").write_text("nothing\n")
    assert read_cpu(tmp_path / "stat") is None
    assert read_cpu(NOWHERE) is None


def test_cpu_is_what_was_not_idle() -> None:
    assert cpu_percent((850, 1000), (925, 1100)) == 25.0
    assert cpu_percent((850, 1000), (850, 1000)) is None


def test_without_proc_the_load_stands_in() -> None:
    load = cpu_percent(None, None)
    assert load is not None
    assert 0 <= load <= 100


def test_memory(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\n")
    assert memory(tmp_path / "meminfo") == (600 * 1024, 1000 * 1024)
    used, total = memory(NOWHERE)
    assert used is None
    assert total is not None
    assert total > 0
