import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from tailrace.push import Push, PushError
from tailrace.push._push import to_request
from tailrace.wire import PushRequest


class Message(msgspec.Struct):
    sender: str


def test_data_is_whatever_msgspec_writes() -> None:
    assert bytes(_data(Message("ann"))) == b'{"sender":"ann"}'
    assert bytes(_data({"a": [1, None, "ü"]})) == '{"a":[1,null,"ü"]}'.encode()
    assert bytes(_data(None)) == b"null"


def _data(data: Any) -> Any:
    return to_request(Push(to="room:1", data=data)).data


def test_options_arrive() -> None:
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    request = to_request(Push(to="room:1", text="<p>", event="html", key="k", at=at, expires_s=1.5, stamp=False))
    assert request == PushRequest(to="room:1", text="<p>", event="html", key="k", at=at, expires_s=1.5, stamp=False, data=UNSET)


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
BAD: list[tuple[dict[str, Any], str]] = [
    ({"to": "a b", "data": 1}, "$.to"),
    ({"to": "", "data": 1}, "$.to"),
    ({"to": 5, "data": 1}, "$.to"),
    ({"to": "a"}, "$.data"),
    ({"to": "a", "data": 1, "text": "x"}, "$.text"),
    ({"to": "a", "data": object()}, "$.data"),
    ({"to": "a", "data": "\ud800"}, "$.data"),
    ({"to": "\ud800", "data": 1}, "$.to"),
    ({"to": "a", "text": "\ud800"}, "$.text"),
    ({"to": "a", "data": 1, "event": "\ud800"}, "$.event"),
    ({"to": "a", "data": 1, "key": "\ud800"}, "$.key"),
    ({"to": "a", "data": CYCLE}, "$"),
    ({"to": "a", "data": math.nan}, "$.data"),
    ({"to": "a", "data": {"prices": [1.5, None, -math.inf]}}, "$.data"),
    ({"to": "a", "data": Message(math.nan)}, "$.data"),  # type: ignore[arg-type]
    ({"to": "a", "data": "x" * (1 << 20)}, "$.data"),
    ({"to": "a", "data": 1, "event": "heartbeat"}, "$.event"),
    ({"to": "a", "data": 1, "event": "a\nid: 1"}, "$.event"),
    ({"to": "a", "data": 1, "key": ""}, "$.key"),
    ({"to": "a", "data": 1, "delay_s": -1}, "$.delay_s"),
    ({"to": "a", "data": 1, "delay_s": math.inf}, "$.delay_s"),
    ({"to": "a", "data": 1, "delay_s": math.nan}, "$.delay_s"),
    ({"to": "a", "data": 1, "expires_s": math.inf}, "$.expires_s"),
    ({"to": "a", "data": 1, "expires_s": "soon"}, "$.expires_s"),
    ({"to": "a", "data": 1, "stamp": None}, "$.stamp"),
]


@pytest.mark.parametrize(("push", "path"), BAD)
def test_what_cannot_be_valid_names_its_field(push: dict[str, Any], path: str) -> None:
    with pytest.raises(PushError) as caught:
        to_request(Push(**push))
    assert caught.value.path == path


def test_in_a_batch_the_path_names_the_push() -> None:
    with pytest.raises(PushError) as caught:
        to_request(Push(to="a", data=1, event="reset"), "$[3]")
    assert caught.value.path == "$[3].event"
