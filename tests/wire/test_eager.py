"""Streams cut at every byte, read by clients that keep an id before its event is whole: nothing may be lost."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tailrace.wire import (
    Connect,
    Gap,
    Heartbeat,
    Reset,
    encode_control,
    encode_json_block,
    encode_text_block,
    with_comment,
    with_id,
    with_retry,
)
from tests.support.eager import cut_at, inevitable

PACKAGES = ("eventsource@2.0.2", "@microsoft/fetch-event-source@2.0.1")
PLAIN = [
    encode_control(Connect("id", "2026-01-31T12:00:00.000Z", "connected", ["a", "all"], 30)),
    encode_control(Heartbeat("2026-01-31T12:00:00.000Z")),
    encode_json_block("message", '{"n":1,"text":"é"}'.encode()),
    encode_text_block("lines", "one\ntwo\n"),
    encode_control(Gap("a", "1-0", "2-0")),
    encode_json_block("message", b'{"n":2}'),
    encode_control(Reset("lost")),
]
BLOCKS = [with_id(block, f"1abc{number}") for number, block in enumerate(PLAIN)]
BLOCKS[0] = with_comment(with_retry(BLOCKS[0], 1), "tailrace")


def id_first(block: bytes) -> bytes:
    """Write a block as no edge does: with the id before the data."""
    *lines, number = block.removesuffix(b"\n\n").split(b"\n")
    return b"\n".join([number, *lines, b"\n"])


def lost(blocks: Sequence[bytes], cut: int) -> list[bytes]:
    """Return the blocks that a client never dispatches when the stream breaks there, and it resumes from its cursor."""
    parser = cut_at(b"".join(blocks), cut)
    ids = [cut_at(block, len(block)).cursor for block in blocks]
    resumed = ids.index(parser.cursor) + 1 if parser.cursor else 0
    return list(blocks[len(parser.events) : resumed])


def test_an_eager_client_loses_nothing_wherever_a_stream_is_cut() -> None:
    stream = b"".join(BLOCKS)
    for cut in range(len(stream) + 1):
        assert lost(BLOCKS, cut) == [] or inevitable(stream, cut), stream[:cut]


def test_with_the_id_before_the_data_it_would() -> None:
    blocks = [id_first(block) for block in BLOCKS]
    losses = [cut for cut in range(len(b"".join(blocks))) if lost(blocks, cut)]
    assert len(losses) > len(b"".join(PLAIN)) // 2


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("npm"):
        pytest.skip("npm is not installed (Debian: apt-get install npm)")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--no-package-lock", *PACKAGES]
    try:
        installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry doesn't answer")
    if installed.returncode:
        pytest.skip(f"npm can't install {PACKAGES}: {installed.stderr[-300:]}")
    shutil.copy(Path(__file__).parent / "parsers" / "cut.cjs", folder)
    return folder


@pytest.mark.parametrize("package", ["eventsource", "fetch-event-source"])
def test_clients_from_npm_lose_nothing_wherever_a_stream_is_cut(packages: Path, package: str) -> None:
    """Each reads a stream that is cut at a byte, resumes by itself, and is served all that comes after its id."""
    stream = b"".join(BLOCKS)
    expected = [[event, data] for event, data in cut_at(stream, len(stream)).events if event != "connect"]
    question = msgspec.json.encode({"package": package, "blocks": [block.decode() for block in BLOCKS]})
    answer = subprocess.run(["node", "cut.cjs"], cwd=packages, input=question, capture_output=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr.decode()
    seen = msgspec.json.decode(answer.stdout, type=list[list[list[str]]])
    assert len(seen) == len(stream) + 1
    for cut, events in enumerate(seen):
        assert events == expected or inevitable(stream, cut), stream[:cut]
