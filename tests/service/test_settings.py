"""Settings from flags, variables and defaults."""

import argparse
from typing import Annotated

import msgspec
import pytest

from tailrace.service import SettingsError, add_settings, read_settings


class Config(msgspec.Struct, frozen=True):
    redis: Annotated[str, msgspec.Meta(description="URL of Redis.")] = "redis://127.0.0.1:6379/0"
    drain_s: Annotated[float, msgspec.Meta(description="Seconds to drain, 100 % of them.", ge=0)] = 20.0
    shards: Annotated[int, msgspec.Meta(description="Number of shards.", ge=1, le=8)] = 1
    stamp: Annotated[bool, msgspec.Meta(description="Stamp or not.")] = True
    origins: Annotated[tuple[str, ...], msgspec.Meta(description="Allowed origins.")] = ()
    token: Annotated[str | None, msgspec.Meta(description="Bearer token.")] = None


def parsed(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_settings(parser, Config)
    return parser.parse_args(flags)


def test_default_stands_where_nothing_is_set() -> None:
    assert read_settings(Config, parsed(), {}) == Config()


def test_variable_wins_over_default() -> None:
    environ = {"TAILRACE_DRAIN_S": "2.5", "TAILRACE_REDIS_URL": "redis://r:1/0", "TAILRACE_STAMP": "false"}
    assert read_settings(Config, parsed(), environ) == Config(drain_s=2.5, redis="redis://r:1/0", stamp=False)


def test_flag_wins_over_variable() -> None:
    assert read_settings(Config, parsed("--drain-s", "1"), {"TAILRACE_DRAIN_S": "2"}).drain_s == 1


def test_empty_variable_is_not_set() -> None:
    assert read_settings(Config, parsed(), {"TAILRACE_DRAIN_S": ""}).drain_s == 20


def test_booleans_have_two_flags() -> None:
    assert read_settings(Config, parsed("--no-stamp"), {}).stamp is False
    assert read_settings(Config, parsed("--stamp"), {"TAILRACE_STAMP": "0"}).stamp is True


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("No", False), ("true", True), ("0", False)])
def test_booleans_are_given_as_help_writes_them(text: str, value: bool) -> None:
    assert read_settings(Config, parsed(), {"TAILRACE_STAMP": text}).stamp is value


def test_many_values_are_repeated_flags_or_a_comma_list() -> None:
    assert read_settings(Config, parsed("--origins", "a", "--origins", "b"), {}).origins == ("a", "b")
    assert read_settings(Config, parsed(), {"TAILRACE_ORIGINS": "a, b,"}).origins == ("a", "b")


def test_optional_value() -> None:
    assert read_settings(Config, parsed("--token", "t"), {}).token == "t"


@pytest.mark.parametrize(
    ("flags", "environ", "named"),
    [
        (["--drain-s", "soon"], {}, "--drain-s"),
        (["--drain-s=-1"], {}, "--drain-s"),
        (["--shards", "9"], {}, "--shards"),
        ([], {"TAILRACE_SHARDS": "0"}, "TAILRACE_SHARDS"),
        ([], {"TAILRACE_STAMP": "perhaps"}, "TAILRACE_STAMP"),
    ],
)
def test_bad_value_names_its_source(flags: list[str], environ: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        read_settings(Config, parsed(*flags), environ)


def test_struct_that_refuses_a_combination() -> None:
    class Pair(msgspec.Struct, frozen=True):
        low: int = 0
        high: int = 1

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("--low is above --high")

    parser = argparse.ArgumentParser()
    add_settings(parser, Pair)
    with pytest.raises(SettingsError, match="--low is above --high"):
        read_settings(Pair, parser.parse_args(["--low", "2"]), {})


def test_help_shows_description_default_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "--drain-s N Seconds to drain, 100 % of them. [default: 20; TAILRACE_DRAIN_S]" in shown
    assert "--stamp, --no-stamp Stamp or not. [default: yes; TAILRACE_STAMP]" in shown
    assert "--origins TEXT Allowed origins. [default: none; TAILRACE_ORIGINS]" in shown
    assert "TAILRACE_REDIS_URL" in shown
