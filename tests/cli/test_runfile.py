"""How a running `up` is found, and what is not taken for one."""

import argparse
import os
import stat
from pathlib import Path

import pytest

from tailrace.cli._locate import find_target
from tailrace.cli._runfile import Running, find_running, published, runtime_folder
from tailrace.service import SettingsError

RUNNING = Running("redis://127.0.0.1:4711/0", "other")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("TAILRACE_REDIS_URL", "TAILRACE_QUEUE_URL", "TAILRACE_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_what_runs_is_found_while_it_runs() -> None:
    assert find_running() is None
    with published(RUNNING):
        assert find_running() == RUNNING
    assert find_running() is None


def test_file_and_folder_are_the_owners_alone(home: Path) -> None:
    with published(RUNNING):
        (file,) = (home / "tailrace").iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_file_of_a_killed_up_is_not_believed(home: Path) -> None:
    with published(RUNNING):
        (file,) = (home / "tailrace").iterdir()
        left = file.read_bytes()
    (home / "tailrace" / "up-1.json").write_bytes(left)
    assert find_running() is None


def test_what_a_later_version_adds_is_ignored(home: Path) -> None:
    with published(RUNNING):
        (file,) = (home / "tailrace").iterdir()
        file.write_bytes(file.read_bytes().replace(b"{", b'{"edges":[8000],', 1))
        assert find_running() == RUNNING


def test_the_newest_is_found(home: Path) -> None:
    with published(RUNNING):
        older = home / "tailrace" / "up-1.json"
        older.write_bytes(b"{}")
        os.utime(older, (0, 0))
        assert find_running() == RUNNING


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_folder_that_others_can_read_is_refused(home: Path, mode: int) -> None:
    (home / "tailrace").mkdir(mode=mode)
    (home / "tailrace").chmod(mode)
    with pytest.raises(SettingsError, match="only you can read"):
        runtime_folder()


def test_folder_that_cannot_be_made_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "file"))
    with pytest.raises(SettingsError, match=r"can't write to XDG_RUNTIME_DIR \(Not a directory\)"):
        runtime_folder()


def test_folder_that_is_a_link_is_refused(home: Path) -> None:
    (home / "elsewhere").mkdir(mode=0o700)
    (home / "tailrace").symlink_to(home / "elsewhere")
    with pytest.raises(SettingsError, match="only you can read"):
        runtime_folder()


def test_target_is_what_runs_unless_a_flag_or_variable_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = argparse.Namespace()
    assert find_target(nothing).redis == "redis://127.0.0.1:6379/0"
    with published(RUNNING):
        found = find_target(nothing)
        assert (found.redis, found.queue_redis, found.prefix) == (RUNNING.redis, RUNNING.redis, "other")
        flag = find_target(argparse.Namespace(redis="redis://a/0"))
        assert (flag.redis, flag.queue_redis, flag.prefix) == ("redis://a/0", "redis://a/0", "tailrace")
        monkeypatch.setenv("TAILRACE_REDIS_URL", "redis://b/0")
        monkeypatch.setenv("TAILRACE_QUEUE_URL", "redis://q/0")
        assert (find_target(nothing).redis, find_target(nothing).queue_redis) == ("redis://b/0", "redis://q/0")


def test_a_prefix_or_a_queue_that_is_named_wins_over_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with published(RUNNING):
        named = find_target(argparse.Namespace(prefix="staging"))
        assert (named.redis, named.queue_redis, named.prefix) == (RUNNING.redis, RUNNING.redis, "staging")
        queue = find_target(argparse.Namespace(queue_redis="redis://q/0"))
        assert (queue.redis, queue.queue_redis, queue.prefix) == (RUNNING.redis, "redis://q/0", "other")
        monkeypatch.setenv("TAILRACE_PREFIX", "tailrace")
        assert find_target(argparse.Namespace()).prefix == "tailrace"


def test_a_target_other_than_the_default_is_named_without_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    find_target(argparse.Namespace())
    assert capsys.readouterr().err == ""
    find_target(argparse.Namespace(redis="redis://me:secret@a/0", queue_redis="redis://q/0", prefix="staging"))
    assert capsys.readouterr().err == "using redis://***@a/0, queue redis://q/0, prefix staging\n"


@pytest.mark.parametrize("written", [b"", b'{"redis"'])
def test_one_that_just_begins_is_not_found_yet(home: Path, written: bytes) -> None:
    with published(RUNNING):
        (file,) = (home / "tailrace").iterdir()
        whole = file.read_bytes()
        file.write_bytes(written)
        assert find_running() is None
        file.write_bytes(whole)
        assert find_running() == RUNNING
