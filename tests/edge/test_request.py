import uuid

import pytest

from tailrace.edge._errors import RequestError
from tailrace.edge.streams._request import read_request

ID = "6ffb1c74-4ca5-4b92-9a2e-6ef8d4d1b0a1"


def test_channels_merge_and_the_connections_own_come_last() -> None:
    request = read_request(f"channel=b&x=1&channel=a&channel=b&client_id={ID}".encode(), [], 100)
    assert request.channels == ("b", "a", "all", f"client:{ID}")


def test_all_may_be_asked_for() -> None:
    assert read_request(f"channel=all&client_id={ID}".encode(), [], 100).channels == ("all", f"client:{ID}")


def test_an_id_is_made_where_none_is_given() -> None:
    first, second = read_request(b"", [], 100), read_request(b"", [], 100)
    assert uuid.UUID(first.client).version == 4
    assert first.client != second.client


def test_ids_that_are_made_are_random_uuids() -> None:
    made = [read_request(b"", [], 100).client for _ in range(1000)]
    assert len(set(made)) == 1000
    assert {(found.version, found.variant, str(found) == text) for text in made for found in [uuid.UUID(text)]} == {
        (4, uuid.RFC_4122, True)
    }
    assert {text[19] for text in made} == set("89ab")


def test_the_header_wins_over_the_parameter() -> None:
    header = [(b"last-event-id", b"fromheader")]
    assert read_request(b"last_event_id=fromquery", header, 100).cursor == "fromheader"
    assert read_request(b"last_event_id=fromquery", [], 100).cursor == "fromquery"
    assert read_request(b"last_event_id=fromquery", [(b"last-event-id", b"")], 100).cursor == "fromquery"


@pytest.mark.parametrize("name", ["last_event_id", "lastEventId", "lastEventID", "Last-Event-ID"])
def test_the_cursor_is_read_from_the_parameter_that_comes_last(name: str) -> None:
    assert read_request(f"{name}=a".encode(), [], 100).cursor == "a"
    assert read_request(f"last_event_id=a&{name}=b&channel=c".encode(), [], 100).cursor == "b"
    assert read_request(f"{name}=a&lastEventId=b".encode(), [], 100).cursor == "b"
    assert read_request(f"last_event_id=a&{name}=".encode(), [], 100).cursor == "a"  # empty is none
    assert read_request(f"{name}=a".encode(), [(b"last-event-id", b"fromheader")], 100).cursor == "fromheader"


def test_escapes_are_decoded() -> None:
    assert read_request(b"channel=room%3A1", [], 100).channels[0] == "room:1"


@pytest.mark.parametrize("query", [b"channel=%00", b"channel=%FF", b"channel=a\xff", b"channel=a%0Ab", b"client_id=%00"])
def test_bytes_that_mean_harm_are_refused(query: bytes) -> None:
    with pytest.raises(RequestError):
        read_request(query, [], 100)


def test_the_names_of_one_stream_are_bounded() -> None:
    names = [f"{number}".ljust(128, "x") for number in range(128)]
    query = "&".join([f"channel={name}" for name in names])
    assert len(read_request(query.encode(), [], 1000).channels) == 130
    with pytest.raises(RequestError, match="16385 bytes of channel names: 16384 are allowed") as refused:
        read_request(f"{query}&channel=a".encode(), [], 1000)
    assert (refused.value.path, refused.value.status) == ("channel", 400)


@pytest.mark.parametrize("extra", ["&a", "&a=b", "&", "&channel=c"])
def test_parameters_are_counted_before_they_are_parsed(extra: str) -> None:
    query = "channel=c" + extra * 163
    assert "c" in read_request(query.encode(), [], 100).channels
    with pytest.raises(RequestError, match="165 query parameters: 164 are allowed") as refused:
        read_request((query + extra).encode(), [], 100)
    assert (refused.value.path, refused.value.status) == ("query", 400)
