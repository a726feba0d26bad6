"""What is fuzzed: everything that reads bytes which others chose. A target runs one input, and raises where a rule is broken."""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from random import Random

import httptools
import msgspec

from tailrace.access import (
    AccessError,
    Grant,
    GrantError,
    JwtRules,
    KeySet,
    Verifier,
    compile_patterns,
    escape_subject,
    hmac_key,
)
from tailrace.edge import EdgeConfig
from tailrace.edge._engine import Engine
from tailrace.edge._errors import RequestError
from tailrace.edge.http._fast_accept import Door
from tailrace.edge.streams._request import read_request
from tailrace.edge.window._segment import Page
from tailrace.service import Sockets
from tailrace.wire import (
    ChannelError,
    CursorError,
    EntryError,
    Place,
    RewindMark,
    check_channel,
    decode_cursor,
    decode_entry,
    decode_rewind,
    encode_cursor,
    encode_rewind,
    encode_text_block,
    id_at,
    is_block,
    with_id,
)
from tailrace.worker.pushes._classify import Bury, Deliver, Move, judge
from tests.fuzz.mutate import mutated

Target = Callable[[Random], None]

_CLIENT = b"6ffb1c74-4ca5-4b92-9a2e-6ef8d4d1b0a1"
_QUERIES = [
    b"channel=room:1&channel=a",
    b"channel=a&client_id=" + _CLIENT + b"&rewind=10",
    b"channel=room%3A1&last_event_id=1hxICIAAAAAAA&Last-Event-ID=1",
]
_HEADS = [
    b"GET /sse?" + _QUERIES[0] + b" HTTP/1.1\r\nHost: edge\r\nAccept: */*\r\n\r\n",
    b"GET /sse HTTP/1.1\r\nHost: edge\r\nConnection: keep-alive\r\nLast-Event-ID: 1hxICIAAAAAAA\r\n\r\n",
]
_HEAD_WORDS = [b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"Upgrade: websocket\r\n", b" HTTP/1.0", b"HEAD ", b"http://a"]
_BLOCKS = [b"event: message\ndata: 1\n\n", encode_text_block("note", "a\nb\n\nc"), encode_text_block("é", "id: 1\nretry: 2")]
_BLOCK_WORDS = [b"\nid: 1", b"\nretry: 9", b"\ndata", b"\ndata: ", b"event: ", b":", b"\nevent: reset"]
_MIDDLE = b"1764500000003-0"
_HEAD = b"room:1 1764500000000-0 aBcDe 1764500000000-1"
_JOBS = [
    b'{"t":null,"f":"push","a":[{"to":"room:1","data":{"n":1}}],"k":{},"et":1764500000000}',
    b'{"f":"push_many","a":[[{"to":"a","text":"x","key":"k"},{"to":"b","data":[1,2],"expires_s":5}]],"k":{"receipt":"r"}}',
    b'{"t":2,"f":"send_mail","a":["ann",{"b":1.5}],"k":{"urgent":true},"et":0}',
]
_JOB_WORDS = [b'"to"', b'"data"', b'"event":"connect"', b'"at":"2026-01-01"', b'"f":"push"', b"[[[[", b'{"a":', b'"k":[]']
_SECRET = b"0123456789abcdef0123456789abcdef"
_NAMES = [b"room:1", b"user:ann", b"all", b"client:" + _CLIENT, b"a:b:c:d"]
_PATTERNS = [b"room:*", b"room:**", b"user:{sub}", b"a:*:c", b"{sub}:**", b"all"]


@cache
def _fast_accept() -> Door:
    return Door(Engine(EdgeConfig()), Sockets())


@cache
def _verifier() -> Verifier:
    return Verifier(JwtRules(), KeySet((hmac_key(_SECRET),)))


class _Parsed:
    def __init__(self) -> None:
        self.url, self.headers, self.complete = b"", list[tuple[bytes, bytes]](), False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_message_complete(self) -> None:
        self.complete = True


def heads(dice: Random) -> None:
    """What the fast accept takes, an HTTP parser reads in the same way."""
    data = mutated(dice, _HEADS, _HEAD_WORDS)
    found = _fast_accept().read(data)
    if found is None:
        return
    parsed = _Parsed()
    httptools.HttpRequestParser(parsed).feed_data(data)
    query = parsed.url.partition(b"?")[2]
    assert parsed.complete
    assert found == (query, [(name, value.strip(b" \t")) for name, value in parsed.headers])  # RFC 9110, 5.5


def queries(dice: Random) -> None:
    """A query is a request within its bounds, or refused by name."""
    query = mutated(dice, _QUERIES, [b"&channel=", b"&rewind=", b"&client_id="])
    try:
        request = read_request(query, [(b"last-event-id", mutated(dice, [b"1hxICIAAAAAAA"]))], 100, 1 << 14)
    except RequestError as error:
        _check_refusal(error)
        return
    assert 0 <= request.rewind <= 1000
    assert len(request.channels) <= 102
    assert len(request.ignored) <= 10
    for channel in request.channels:
        check_channel(channel)


def _check_refusal(error: RequestError) -> None:
    assert error.status in (400, 403)
    assert error.path


def cursors(dice: Random) -> None:
    """A cursor is refused, or what was read can be written again."""
    shards = dice.randint(1, 8)
    places = tuple([Place("aBcDe", id_at(dice.randrange(1 << 42), dice.choice((0, 1, 70_000, (1 << 64) - 1)))) for _ in range(shards)])
    text = encode_cursor(places)
    if dice.random() < 0.5:
        shard = dice.randrange(shards)
        end = places[shard].position
        reached = dice.choice((None, max(0, end - dice.randrange(1 << 70))))
        text += encode_rewind(RewindMark(dice.randint(1, 1000), max(0, (end >> 64) - dice.randrange(1 << 20)), shard, reached), end)
    if dice.random() < 0.9:
        text = mutated(dice, [text.encode()], [b".", b"-", b"~", b"_"]).decode("latin-1")
    try:
        cursor = decode_cursor(text, shards)
        mark = decode_rewind(text, cursor)
    except CursorError:
        return
    assert decode_cursor(encode_cursor(cursor), shards) == cursor
    assert mark is None or (0 < mark.most < 4096 and 0 <= mark.shard < shards and mark.since_ms >= 0)


def entries(dice: Random) -> None:
    """An entry is decoded or refused, and one that can't be read hides no other of its segment."""
    ids = [id_at(1764500000002 + number) for number in range(3)]
    good = [b"h", _HEAD, b"b", _BLOCKS[0]]
    bad = (
        mutated(dice, [_MIDDLE]) if dice.random() < 0.2 else _MIDDLE,
        [b"h", mutated(dice, [_HEAD]), b"b", mutated(dice, _BLOCKS, _BLOCK_WORDS)][: dice.choice((4, 4, 4, 4, 3, 2))],
    )
    try:
        decode_entry(*bad)
        whole = True
    except EntryError:
        whole = False
    if bad[0] != _MIDDLE:
        return  # Redis itself makes the ids of a stream
    page = Page.read([(b"1764500000002-0", good), bad, (b"1764500000004-0", good)])
    found = [entry.id for entry in page.after(0, list(dict.fromkeys(page.channels)), 10)]
    expected = ids if whole else [ids[0], ids[2]]
    assert found == expected, (found, expected)


_LINES = re.compile(rb"event: [^\n]*\n(?:data: [^\n]*\n)+\n")


def blocks(dice: Random) -> None:
    """Whatever passes for a block is one event for a parser by the specification, and carries neither id nor retry."""
    block = mutated(dice, _BLOCKS, _BLOCK_WORDS)
    if not is_block(block):
        return
    assert _LINES.fullmatch(block), block
    assert b"\r" not in block
    assert with_id(block, "1abc").endswith(b"\nid: 1abc\n\n")


def jobs(dice: Random) -> None:
    """Whatever stands in a queue is delivered, moved, or a dead letter with a reason that can be written."""
    verdict = judge(mutated(dice, _JOBS, _JOB_WORDS))
    match verdict:
        case Bury(reason, path, _):
            msgspec.json.encode([reason, path])
            assert path.startswith("$")
        case Deliver(pushes, _, _):
            for push in pushes:
                check_channel(push.to)
        case Move():
            pass


def tokens(dice: Random) -> None:
    """A token that was changed is refused, and no error quotes its signature."""
    import jwt

    claims = {"sub": "ann", "iat": 1000, "exp": 2000, "tailrace": {"channels": {"room:*": ["listen"]}}}
    token = jwt.encode(claims, _SECRET, "HS256").encode()
    changed = mutated(dice, [token])
    try:
        grant = _verifier().verify(changed.decode("latin-1"), 1500.0)
    except AccessError as error:
        said = str(error)
    else:
        assert changed == token
        assert grant.sub == "ann"
        return
    assert token.rpartition(b".")[2].decode() not in said


def patterns(dice: Random) -> None:
    """A pattern is refused or compiled; it matches whole segments, and no wildcard reaches a reserved name."""
    pattern = mutated(dice, _PATTERNS, [b"*", b"**", b":", b"{sub}"]).decode("latin-1")
    try:
        grant = Grant(sub="ann", channels={pattern: ["listen"]}, expires_at=2000.0, issued_at=1000.0)
        compiled = compile_patterns([pattern], "ann")
    except (GrantError, ChannelError, ValueError):
        return
    name = mutated(dice, _NAMES).decode("latin-1")
    try:
        check_channel(name)
    except ChannelError:
        return
    if compiled.match(name) and name.partition(":")[0] in ("user", "client", "run", "all"):
        assert name.partition(":")[0] == pattern.partition(":")[0], (pattern, name)
    assert grant.sub == escape_subject("ann")


TARGETS: Mapping[str, Target] = {target.__name__: target for target in (heads, queries, cursors, entries, blocks, jobs, tokens, patterns)}


def run(target: str, seed: int) -> None:
    """Run one input of a target; equal seeds make equal inputs."""
    TARGETS[target](Random(f"{target} {seed}"))


def report(target: str, seed: int, error: BaseException) -> str:
    """Say how to see a failure again."""
    return json.dumps({"target": target, "seed": seed, "error": f"{type(error).__name__}: {error}"[:500]})
