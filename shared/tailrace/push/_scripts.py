"""The Lua scripts, read once at import; `enqueue.lua` is the one that producers in other languages may use too."""

from importlib.resources import files

_FOLDER = files(__package__).joinpath("lua")

ENQUEUE, STATUS, CANCEL = [_FOLDER.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in ("enqueue", "status", "cancel")]
