"""What `--help` shows as examples, as a shell would read it."""

import shlex
from importlib.metadata import entry_points


def examples(command: str) -> list[list[str]]:
    """Give the words of each example of a command, without `tailrace` and without what is piped in or out."""
    (point,) = entry_points(group="tailrace.commands", name=command)
    lines = [line.strip().removeprefix("date | ") for line in point.load().epilog.splitlines()]
    read = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("tailrace ")]
    return [words[: words.index("|")] if "|" in words else words for words in read]
