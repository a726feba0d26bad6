"""Which extra installs a missing module."""

import re
from importlib.metadata import EntryPoint, requires
from importlib.util import find_spec

_REQUIRED = re.compile(r"""(?P<name>[\w.-]+).*;.*\bextra\s*==\s*['"](?P<extra>[\w-]+)['"]""")


def cure(point: EntryPoint, error: ModuleNotFoundError) -> str:
    """Return the command that installs a missing module, or "" if the command's extra doesn't include it."""
    package = point.module.split(".")[1]
    extra, missing = ("all" if package == "cli" else package), _normal((error.name or "").partition(".")[0])
    required = {
        _normal(match["name"]) for line in requires("tailrace") or () if (match := _REQUIRED.match(line)) and match["extra"] == extra
    }
    if missing not in required or find_spec(missing) is not None:  # installed, but incomplete or shadowed
        return ""
    return f"pip install 'tailrace[{extra}]'"


def _normal(name: str) -> str:
    return name.lower().replace("-", "_")
