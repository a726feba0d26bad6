"""Writes docs/settings.md from the configuration Structs: `python -m tests.docs.settings`."""

from typing import NamedTuple

import msgspec
from msgspec import inspect

from tailrace.cli._up import UpConfig
from tailrace.console import ConsoleConfig
from tailrace.edge._config import CommandConfig
from tailrace.ingest import IngestConfig
from tailrace.service._settings import flag_of, variable_of
from tailrace.worker import WorkerConfig
from tests.docs.pages import ROOT

PAGE = ROOT / "docs/settings.md"
_HEAD = """# Settings

*Written from the configuration Structs by `python -m tests.docs.settings`; a test fails when it differs.*

Each setting is a flag, a variable, and a field of the service's configuration Struct (`EdgeConfig(drain_s=5)`). A flag wins over its
variable, the variable over the default. What may have several values is a flag that is repeated, or a variable with commas between
them. `tailrace COMMAND --help` says the same. All processes of one system need the same `prefix` and `shards`; workers and producers
need the same `partitions`.

Where two services have a setting of one name (`drain_s`, `host`, `port`, `log_level`, `origins`), they read one variable: what is
to differ in processes that share an environment is given as a flag. `tailrace up` gives its services their ports as flags, so
`TAILRACE_PORT` doesn't reach them. Kubernetes sets `TAILRACE_PORT` to a URL where a Service is called `tailrace`: call it something
else, or set `enableServiceLinks: false`.
"""
_EDGE = """`EdgeConfig` in `tailrace.edge`, but for the last four, which are the command's alone: an edge in an application of yours
listens and logs where that does."""
_UP = (
    """Starts all of the above, with two edges. What stands here is set for all of them; variables of the single services reach them too."""
)
_PARTS: list[tuple[str, str, type[msgspec.Struct]]] = [
    ("tailrace edge", _EDGE, CommandConfig),
    ("tailrace worker", "`WorkerConfig` in `tailrace.worker`. `--check` says whether a worker of this host lives, and ends.", WorkerConfig),
    ("tailrace ingest", "`IngestConfig` in `tailrace.ingest`.", IngestConfig),
    ("tailrace console", "`ConsoleConfig` in `tailrace.console`.", ConsoleConfig),
    ("tailrace up", _UP, UpConfig),
]


class Kind(NamedTuple):
    """What a field takes."""

    description: str
    limits: str


def kind_of(field: inspect.Field) -> Kind:
    """Read a field's annotation."""
    kind, description = field.type, ""
    if isinstance(kind, inspect.Metadata):
        description, kind = str((kind.extra_json_schema or {}).get("description", "")), kind.type
    return Kind(description, _limits(kind))


def _limits(kind: inspect.Type) -> str:
    match kind:
        case inspect.LiteralType(values=values):
            return ", ".join([str(value) for value in values])
        case inspect.BoolType():
            return "yes or no"
        case inspect.VarTupleType():
            return "several"
        case inspect.IntType() | inspect.FloatType():
            return _bounds(kind)
        case _:
            return ""


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.gt is not None:
        return f"above {kind.gt:g}" + (f", to {kind.le:,}" if kind.le is not None else "")
    if kind.ge is not None and kind.le is not None:
        return f"{kind.ge:,} to {kind.le:,}"
    return f"from {kind.ge:,}" if kind.ge is not None else ""


def default_of(field: inspect.Field) -> str:
    """Write a default; a dash where it is nothing."""
    match field.default:
        case bool(value):
            return "yes" if value else "no"
        case "" | ():
            return "-"
        case tuple(values):
            return ", ".join([f"`{value}`" for value in values])
        case int(value):
            return _number(value)
        case float(value):
            return f"{value:g}"
    return f"`{field.default}`"


def _number(value: int) -> str:
    if value and value % (1 << 20) == 0:
        return f"{value} ({value >> 20} MiB)"
    return f"{value:,}" if value >= 10_000 else str(value)


def table(config: type[msgspec.Struct]) -> str:
    """Write the table of one Struct."""
    info = inspect.type_info(config)
    assert isinstance(info, inspect.StructType)
    rows = ["| flag | variable | default | takes | |", "|---|---|---|---|---|"]
    for field in info.fields:
        kind = kind_of(field)
        cells = [f"`{flag_of(field.name)}`", f"`{variable_of(field.name)}`", default_of(field), kind.limits, kind.description]
        rows.append("| " + " | ".join([cell.replace("|", "\\|") for cell in cells]) + " |")
    return "\n".join(rows)


def page() -> str:
    """Write the page."""
    return "\n".join([_HEAD, *[f"## {title}\n\n{words}\n\n{table(config)}\n" for title, words, config in _PARTS]])


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE} is written")
