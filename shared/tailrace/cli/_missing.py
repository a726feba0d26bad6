"""What to say of a module that isn't there: the extra that brings it, if one does."""

import re
from importlib.metadata import EntryPoint, requires
from importlib.util import find_spec

_REQUIRED = re.compile(r"""(?P<name>[\w.-]+).*;.*\bextra\s*==\s*['"](?P<extra>[\w-]+)['"]""")


def cure(point: EntryPoint, error: ModuleNotFoundError) -> str:
    """Say how to install what a command needs; "" if the missing module isn't one that the command's extra brings."""
    package = point.module.split(".")[1]
    extra, missing = ("all" if package == "cli" else package), _normal((error.name or "").partition(".")[0])
    required = {
        _normal(match["name"]) for line in requires("tailrace") or () if (match := _REQUIRED.match(line)) and match["extra"] == extra
    }
    if missing not in required or find_spec(missing) is not None:  # there, but it lacks something itself or is hidden by another
        return ""
    return f"pip install 'tailrace[{extra}]'"


def _normal(name: str) -> str:
    return name.lower().replace("-", "_")
