import pytest
from msgspec.structs import replace

from tailrace.wire import (
    ClientEntry,
    Connect,
    EntryError,
    Gap,
    JobReceipt,
    JobState,
    Keys,
    Receipt,
    decode_client,
    decode_entry,
    decode_receipt,
    encode_client,
    encode_control,
    encode_receipt,
    id_at,
)

BLOCK = b"event: e\ndata: 1\n\n"


def test_an_entry_names_what_came_before() -> None:
    entry = decode_entry(b"5-1", [b"h", b"room:1 3-0 abcde 4-2", b"b", BLOCK])
    assert entry == (id_at(5, 1), "room:1", id_at(3), "abcde", id_at(4, 2), BLOCK)


@pytest.mark.parametrize("words", [b"", b" -", b" - x=1 y"])
@pytest.mark.parametrize("fields", [[], [b"x", b"1"], [b"x", b"", b"y", b"\xff"]])
def test_what_a_later_version_adds_to_an_entry_is_ignored(words: bytes, fields: list[bytes]) -> None:
    entry = decode_entry(b"5-1", [b"h", b"room:1 3-0 abcde 4-2" + words, b"b", BLOCK, *fields])
    assert entry == (id_at(5, 1), "room:1", id_at(3), "abcde", id_at(4, 2), BLOCK)


@pytest.mark.parametrize(
    ("entry_id", "fields"),
    [
        (b"5-1", []),
        (b"5-1", [b"h", b"room:1 3-0 abcde 4-2"]),
        (b"5-1", [b"h", b"room:1 3-0 abcde", b"b", BLOCK]),
        (b"5-1", [b"h", b"room:1 x abcde 4-2", b"b", BLOCK]),
        (b"5-1", [b"h", b"\xff 3-0 abcde 4-2", b"b", BLOCK]),
        (b"5-1", [b"h", b"room:1 3-0 abcde 4-2", b"b", b"data: 1\n"]),
        (b"x", [b"h", b"room:1 3-0 abcde 4-2", b"b", BLOCK]),
        (b"5-1", [b"h", b"room:1 3-0 abcde 5-1", b"b", BLOCK]),
        (b"5-1", [b"h", b"room:1 3-0 abcde 9-0", b"b", BLOCK]),
        (b"5-1", [b"h", b"room:1 5-1 abcde 4-2", b"b", BLOCK]),
    ],
)
def test_what_tailrace_did_not_write_is_no_entry(entry_id: bytes, fields: list[bytes]) -> None:
    with pytest.raises(EntryError):
        decode_entry(entry_id, fields)


def test_control_events_are_rendered_without_their_name_in_the_data() -> None:
    assert encode_control(Gap("a", "1-0", "2-0")) == b'event: gap\ndata: {"channel":"a","after":"1-0","next":"2-0"}\n\n'
    connect = Connect("id", "2026-01-31T12:00:00Z", "connected", ["a", "all"], 30)
    assert encode_control(connect).startswith(b'event: connect\ndata: {"id":"id","time":"2026-01-31T12:00:00Z",')
    assert b"ignored" not in encode_control(connect)
    assert encode_control(replace(connect, ignored=["x\n"])).endswith(b'"heartbeat_s":30,"ignored":["x\\n"]}\n\n')


def test_receipts_and_clients_come_back_as_they_were() -> None:
    receipt = JobReceipt("j", JobState.APPENDED, [Receipt(status="info", message="m", id="1-0", recipients=0)])
    assert decode_receipt(encode_receipt(receipt)) == receipt
    client = ClientEntry(5, ["all"], 2)
    assert decode_client(encode_client(client)) == client


def test_what_a_later_version_adds_to_a_receipt_or_a_client_is_ignored() -> None:
    receipt = b'{"job":"j","state":"appended","x":1,"receipts":[{"status":"new","message":"m","x":[]}]}'
    assert decode_receipt(receipt) == JobReceipt("j", JobState.APPENDED, [Receipt(status="new", message="m")])
    assert decode_client(b'{"since":5,"channels":["all"],"x":{}}') == ClientEntry(5, ["all"])


def test_all_keys_of_a_shard_share_its_hash_tag() -> None:
    keys = Keys("mine")
    assert keys.log(3) == "mine:{3}:log"
    for key in (keys.generations(3), keys.commits(3, 1), keys.history(3, "a"), keys.last(3, "a")):
        assert key.startswith("mine:{3}:")
    assert keys.queue(0) == "mine:queue"
    assert keys.queue(1) == "mine:queue:1"
