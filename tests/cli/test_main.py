"""The frame of the command line."""

import os
import socket
import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest

from tailrace.cli import main
from tailrace.service import SettingsError, bind


def test_help_lists_every_command_with_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for point in entry_points(group="tailrace.commands"):
        assert f"  {point.name} " in shown
        assert point.load().summary in shown
    assert "examples:" in shown


def test_nothing_asked_for_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "usage: tailrace COMMAND" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tailrace {version('tailrace')}\n"


def test_an_unknown_command_names_the_one_that_was_probably_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["psuh"]) == 2
    assert capsys.readouterr().err == "tailrace: unknown command 'psuh'; did you mean 'push'?\n"


def test_an_unknown_command_like_no_other_names_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["xyz"]) == 2
    assert "unknown command 'xyz'; commands: call, clients," in capsys.readouterr().err


@pytest.mark.parametrize("words", [["push", "--to", "all", "--tect", "1"], ["push", "1"], ["dead", "list", "--limt", "1"]])
def test_a_wrong_flag_names_the_help_of_its_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tailrace {words[0]}")
    assert f"see `tailrace {words[0]} --help`" in line


@pytest.mark.parametrize("command", sorted(point.name for point in entry_points(group="tailrace.commands")))
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert f"tailrace {command}" in shown


def test_bad_setting_exits_2_and_names_the_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--edge-port", "70000"]) == 2
    assert "tailrace up: --edge-port: " in capsys.readouterr().err


def test_redis_away_is_said_without_a_traceback_or_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clients", "--redis", "redis://:secret@127.0.0.1:1/0"]) == 1
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("tailrace clients: ")
    assert "secret" not in said


def test_redis_away_at_the_default_address(nowhere: None, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["clients"], ["dead", "list"]):
        assert main(command) == 1
        assert capsys.readouterr().err.endswith("; start `tailrace up`, or pass --redis\n")


def test_unreadable_redis_url_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clients", "--redis", "http://127.0.0.1"]) == 2
    assert "bad Redis URL" in capsys.readouterr().err


def test_python_m() -> None:
    done = subprocess.run([sys.executable, "-m", "tailrace.cli", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("tailrace ")


def test_bind_takes_a_free_port() -> None:
    with bind("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0
        assert not listener.getblocking()


def test_bind_names_port_and_flag_where_it_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"--port: port {port} on 127.0.0.1 is taken"):
            bind("127.0.0.1", port)
        with pytest.raises(SettingsError, match=r"with --metrics-port \(0 is none\)"):
            bind("127.0.0.1", port, "--metrics-port", "0 is none")


def test_bind_names_an_address_that_is_not_here() -> None:
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1"):
        bind("192.0.2.1", 0)
    with pytest.raises(SettingsError, match="--host"):
        bind("no such host", 0)


def test_a_host_that_cannot_be_one_is_named() -> None:
    with pytest.raises(SettingsError, match=r"--host: invalid host name 'a\.\.b'"):
        bind("a..b", 0)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--version"], ["help"], ["push", "--help"]])
def test_who_reads_no_more_ends_a_command_in_peace(arguments: list[str], unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tailrace.cli", *arguments]
    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=environ, timeout=20, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
