import msgspec
import pytest
from hypothesis import given, strategies as st

from tailrace.wire import MAX_DATA_BYTES, PushError, PushJob, PushRequest, check_push, convert_error, render, stamp

NOW_MS = 1_769_860_800_000


def push(text: str) -> PushJob:
    return check_push(msgspec.json.decode(text, type=PushJob))


def rendered(data: str, *, stamp: bool = True) -> str:
    block = render(PushJob(to="a", data=msgspec.Raw(data.encode()), stamp=stamp), NOW_MS)
    return block.decode().removeprefix("event: message\ndata: ").removesuffix("\n\n")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('{"a": 1}', '{"timestamp":"2026-01-31T12:00:00.000Z","a":1}'),
        ("{ }", '{"timestamp":"2026-01-31T12:00:00.000Z"}'),
        ('{"timestamp": null}', '{"timestamp":null}'),
        ('{"a": {"timestamp": 1}}', '{"timestamp":"2026-01-31T12:00:00.000Z","a":{"timestamp":1}}'),
        ("[1, 2]", "[1,2]"),
        ('"a string"', '"a string"'),
        ("null", "null"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1.0e2", "1.0e2"),
        ('"\u2028"', '"\u2028"'),
    ],
)
def test_data_is_compact_json_as_it_came_with_a_timestamp_in_objects(data: str, expected: str) -> None:
    assert rendered(data) == expected


def test_stamping_can_be_left_out() -> None:
    assert rendered('{"a": 1}', stamp=False) == '{"a":1}'


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_the_value_that_goes_in_comes_out(value: object) -> None:
    raw = msgspec.json.encode(value)
    assert msgspec.json.decode(rendered(raw.decode(), stamp=False)) == msgspec.json.decode(raw)


def test_text_goes_out_line_by_line() -> None:
    assert render(PushJob(to="a", event="e", text="<p>\r\nhi"), 0) == b"event: e\ndata: <p>\ndata: hi\n\n"


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ('{"to":"a"}', "$.data", "give `data` or `text`"),
        ('{"to":"a","data":1,"text":"x"}', "$.text", "not both"),
        ('{"to":"a\\n","data":1}', "$.to", "bad channel name"),
        ('{"to":"a","data":1,"event":"connect"}', "$.event", "reserved"),
        ('{"to":"a","data":1,"event":"busy"}', "$.event", "reserved"),
        ('{"to":"a","text":"","event":"run-started"}', "$.event", "reserved"),
        ('{"to":"a","data":1e999}', "$.data", "out of range"),
        ('{"to":"a","data":"%s"}' % ("x" * MAX_DATA_BYTES), "$.data", "1048576 at most"),
        ('{"to":"a","text":"%s"}' % ("é" * (MAX_DATA_BYTES // 2 + 1)), "$.text", "1048576 at most"),
    ],
)
def test_a_push_that_cannot_be_delivered_names_its_field(text: str, path: str, message: str) -> None:
    with pytest.raises(PushError, match=message) as caught:
        push(text)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"to":"a b","data":1}', "$.to"),
        ('{"to":1,"data":1}', "$.to"),
        ('{"data":1}', "$"),
        ('{"to":"a","data":1,"colour":1}', "$.colour"),
        ('{"to":"a","data":1,"key":""}', "$.key"),
        ('{"to":"a","data":1,"expires_s":-1}', "$.expires_s"),
        ('{"to":"a","data":1,"stamp":"no"}', "$.stamp"),
        ("[1]", "$"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(text: str, path: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        push(text)
    assert convert_error(caught.value).path == path


def test_a_push_is_due_at_once_later_or_at_a_time() -> None:
    assert PushRequest(to="a", text="").due_ms(NOW_MS) is None
    assert PushRequest(to="a", text="", delay_s=1.5).due_ms(NOW_MS) == NOW_MS + 1500
    at = msgspec.json.decode('{"to":"a","text":"","at":"2026-01-31T13:00:00+01:00"}', type=PushRequest)
    assert at.due_ms(NOW_MS - 1000) == NOW_MS


@pytest.mark.parametrize(
    "text", ['{"to":"a","text":"","at":"2026-01-31T12:00:00"}', '{"to":"a","text":"","at":"2026-01-31T12:00:00Z","delay_s":1}']
)
def test_a_time_needs_an_offset_and_stands_alone(text: str) -> None:
    with pytest.raises(PushError) as caught:
        msgspec.json.decode(text, type=PushRequest).due_ms(NOW_MS)
    assert caught.value.path == "$.at"


def test_stamps_have_milliseconds() -> None:
    assert stamp(NOW_MS + 7) == "2026-01-31T12:00:00.007Z"
