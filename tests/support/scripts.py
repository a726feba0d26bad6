"""The Lua files of a package."""

from importlib.resources import files

from tailrace.redis import Scripts


def script_names(scripts: Scripts) -> list[str]:
    """List the names of a package's files, parts of scripts included."""
    return [file.name.removesuffix(".lua") for file in files(scripts.package).joinpath("lua").iterdir()]
