from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, strategies as st

from tailrace.ingest._requests import read_body
from tailrace.wire import JobError, PushError, TooLargeError


def test_one_push_and_an_array() -> None:
    one, many = read_body(b'{"to":"a","data":1}'), read_body(b'[{"to":"a","data":1},{"to":"b","text":"x"}]')
    assert (len(one.pushes), one.many) == (1, False)
    assert ([push.to for push in many.pushes], many.many) == (["a", "b"], True)
    assert read_body(b"[]").pushes == []


@pytest.mark.parametrize(
    ("body", "error", "path"),
    [
        (b"", JobError, "$"),
        (b"{", JobError, "$"),
        (b"nonsense", JobError, "$"),
        (b"5", PushError, "$"),
        (b"[5]", PushError, "$[0]"),
        (b'{"to":"a","data":1,"sender":"x"}', PushError, "$.sender"),
        (b'[{"to":"a","data":1},{"to":"a","data":1,"event":"open"}]', PushError, "$[1].event"),
        (b'[{"to":"a","data":1},{"to":"a b","data":1}]', PushError, "$[1].to"),
        (b"[" + b",".join([b'{"to":"a","data":1}'] * 10_001) + b"]", TooLargeError, "$"),
        (b'[{"to":"a","data":1},{"to":"a","data":"%b"}]' % (b"x" * (1 << 20)), TooLargeError, "$[1].data"),
    ],
)
def test_what_cannot_be_names_its_place(body: bytes, error: type[PushError], path: str) -> None:
    with pytest.raises(error) as caught:
        read_body(body)
    assert (type(caught.value), caught.value.path) == (error, path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.binary() | _JSON.map(msgspec.json.encode) | st.lists(_JSON).map(msgspec.json.encode))
def test_nothing_else_is_ever_raised(body: bytes) -> None:
    with suppress(PushError):
        read_body(body)
