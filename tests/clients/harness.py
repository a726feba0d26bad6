"""A client program under test, and what happens to its stream."""

import asyncio
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.support.relay import Relay
from tests.support.wait import wait_until


class Delivered(msgspec.Struct, frozen=True):
    """One line that a client program prints: an event as its user gets it, or an error of type `(error)`."""

    type: str
    data: str
    id: str


class Numbered(msgspec.Struct, frozen=True):
    """Data of the n-th event of a scenario."""

    n: int
    text: str


class Client:
    """A running client program."""

    def __init__(self, output: Path, errors: Path) -> None:
        self._output, self._errors = output, errors

    @property
    def lines(self) -> list[Delivered]:
        whole = self._output.read_bytes().rpartition(b"\n")[0]
        return msgspec.json.Decoder(Delivered).decode_lines(whole)

    def events(self, kind: str) -> list[Delivered]:
        return [line for line in self.lines if line.type == kind]

    @property
    def messages(self) -> list[Numbered]:
        """The messages; decoding fails for an empty one."""
        return [msgspec.json.decode(line.data, type=Numbered) for line in self.events("message")]

    async def sees(self, kind: str, count: int = 1, timeout_s: float = 20) -> None:
        """Wait for so many events of a kind."""
        try:
            await wait_until(lambda: len(self.events(kind)) >= count, timeout_s)
        except TimeoutError as error:
            shown = [line for line in self.lines if line.type != "message"][-8:]
            raise AssertionError(f"{len(self.events(kind))} of {count} {kind}; {shown}; {self._errors.read_text()[-500:]}") from error


@contextmanager
def running(command: Sequence[str], folder: Path, output: Path) -> Iterator[Client]:
    """Run a client program in a folder until the block ends."""
    errors = output.with_suffix(".stderr")
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err)
    try:
        yield Client(output, errors)
    finally:
        process.kill()
        process.wait()


class CuttingRelay(Relay):
    """Ends a stream in the middle of the data of an event, once per connection, so many times in all."""

    def __init__(self, port: int, cuts: int, after: int = 5) -> None:
        super().__init__(port)
        self.cuts_left, self._after = cuts, after

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *_: object) -> None:
        seen = 0
        while data := await source.read(1 << 16):
            seen += data.count(b'data: {"n":')
            if self.cuts_left and seen >= self._after:
                self.cuts_left -= 1
                target.write(data[: data.rindex(b'data: {"n":') + 10])
                break
            target.write(data)
            await target.drain()
        target.close()
