"""The words and flags of the command line, before anything is done."""

import argparse
from collections.abc import Callable

import pytest

from tailrace.cli import main
from tailrace.cli._arguments import Parser, channel, count, duration, moment, seconds


@pytest.mark.parametrize(("text", "value"), [("500ms", 0.5), ("10s", 10), ("10", 10), ("1.5m", 90), ("2h", 7200), ("1d", 86_400)])
def test_duration(text: str, value: float) -> None:
    assert duration(text) == value


def test_values() -> None:
    assert (seconds("0"), seconds("1.5"), count("0"), count("12"), channel("room:1")) == (0, 1.5, 0, 12, "room:1")
    assert moment("2026-01-31T12:00:00Z").utcoffset() is not None


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *[(duration, text) for text in ("", "-1s", "soon", "1w", "9" * 400)],
        *[(seconds, text) for text in ("", "-1", "nan", "inf", "x")],
        *[(count, text) for text in ("", "-1", "1.5", "x", "9" * 5000)],
        *[(channel, text) for text in ("", "a b", "x" * 129)],
        *[(moment, text) for text in ("", "nope", "2026-02-31T12:00:00Z")],
    ],
)
def test_bad_values(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)


@pytest.mark.parametrize("line", ["a b --flag x", "a --flag x b", "--flag x a b", "--flag=x a b", "a --flag x -- b"])
@pytest.mark.parametrize("nested", [False, True])
def test_flags_stand_anywhere(line: str, nested: bool) -> None:
    parser = Parser()
    inner = parser.add_subparsers().add_parser("verb") if nested else parser
    inner.add_argument("first")
    inner.add_argument("second", nargs="?")
    inner.add_argument("--flag")
    found = parser.parse_args([*["verb"][: int(nested)], *line.split()])
    assert (found.first, found.second, found.flag) == ("a", "b", "x")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("tail --channel a%20b", "--channel: bad channel name 'a b'"),
        ("clients --channel a%20b", "--channel: bad channel name 'a b'"),
        ("tail --last -1", "--last: invalid number '-1': expected an integer, 0 or more"),
        ("dead list --limit -1", "--limit: invalid number '-1': expected an integer, 0 or more"),
        ("call", "required: FUNCTION"),
    ],
)
def test_refused(command: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([word.replace("%20", " ") for word in command.split()])
    shown = capsys.readouterr().err
    assert shown.startswith("tailrace ")
    assert shown.endswith(" --help`\n")
    assert said in shown


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("edge --port 99999", "--port: Expected `int` <= 65535 (given: 99999)"),
        ("edge --port -1", "--port: Expected `int` >= 0 (given: -1)"),
        ("edge --processes 0", "--processes: Expected `int` >= 1 (given: 0)"),
        ("edge --log-level silly", "--log-level: Invalid enum value 'silly'"),
    ],
)
def test_a_setting_out_of_bounds_is_named(command: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 2
    assert said in capsys.readouterr().err
