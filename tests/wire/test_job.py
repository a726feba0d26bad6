import json

import msgspec
import pytest
from arq.jobs import serialize_job

from tailrace.wire import JobError, Options, PushError, PushJob, decode_job, decode_pushes, encode_pushes, receipt_listener


def pushes(payload: bytes) -> list[PushJob]:
    return list(decode_pushes(decode_job(payload)).pushes)


def test_a_job_of_ours_is_the_job_that_stock_arq_writes() -> None:
    push = {"to": "room:1", "data": {"a": 1}}
    theirs = serialize_job("push", (push,), {}, None, 5, serializer=msgspec.json.encode)
    ours = encode_pushes([PushJob(to="room:1", data=msgspec.Raw(b'{"a":1}'))], 5)
    assert theirs == ours
    assert pushes(theirs)[0].to == "room:1"


def test_push_many_keeps_its_order() -> None:
    payload = encode_pushes([PushJob(to="a", text=str(n)) for n in range(5)], 5, many=True, receipt="me")
    found = decode_pushes(decode_job(payload))
    assert [push.text for push in found.pushes] == list("01234")
    assert found.options.receipt == "me"


def test_what_a_later_version_adds_to_an_envelope_is_ignored() -> None:
    job = decode_job(b'{"v":2,"t":null,"f":"push","a":[{"to":"a","text":"x"}],"k":{"receipt":"me"},"et":5,"trace":{"id":[1]}}')
    assert (job.f, job.et, decode_pushes(job).options.receipt) == ("push", 5, "me")
    assert [push.text for push in decode_pushes(job).pushes] == ["x"]


@pytest.mark.parametrize("field", ['"me"', "null"])
def test_beside_a_field_for_the_receipt_all_keywords_are_the_functions(field: str) -> None:
    job = decode_job(f'{{"f":"mail","k":{{"receipt":"theirs"}},"receipt":{field}}}'.encode())
    assert receipt_listener(job) == json.loads(field)
    push = decode_job(f'{{"f":"push","a":[{{"to":"a","text":"x"}}],"receipt":{field}}}'.encode())
    assert decode_pushes(push).options.receipt == json.loads(field)


@pytest.mark.parametrize(
    ("keywords", "listener"),
    [(b'{"receipt":"me"}', "me"), (b'{"receipt":"me","x":1}', "me"), (b"{}", None), (b'{"receipt":1}', None), (b"[]", None)],
)
def test_who_asked_for_a_receipt_is_known_whatever_else_a_job_asks_for(keywords: bytes, listener: str | None) -> None:
    assert receipt_listener(decode_job(b'{"f":"push","k":%b}' % keywords)) == listener


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\x80\x04]", "job_serializer=msgspec.json.encode"),
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"a":[]}', "missing required field `f`"),
        (b"\xff", "malformed"),
        (b'{"f":"\xff"}', "not UTF-8"),
        (b'{"f":"push","a":' + b"[" * 100_000, "nested too deeply"),
        (b'{"f":"push","a":[{"to":"a","data":"\\ud800"}]}', "lone surrogate"),
        (b'{"f":"push","a":[{"to":"a","data":"\\udc00 "}]}', "lone surrogate"),
    ],
)
def test_this_is_no_job(payload: bytes, message: str) -> None:
    with pytest.raises(JobError, match=message):
        decode_job(payload)


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        (b'{"f":"push","a":[{"to":"a","data":1,"x":2}]}', "$.x"),
        (b'{"f":"push","a":[{"to":"a","data":1,"event":"open"}]}', "$.event"),
        (b'{"f":"push","a":[]}', "$"),
        (b'{"f":"push","a":[{"to":"a","text":""},{}]}', "$"),
        (b'{"f":"push","a":[1]}', "$"),
        (b'{"f":"push","a":{}}', "$"),
        (b'{"f":"push","a":[{"to":"a","text":""}],"k":{"colour":1}}', "$.k.colour"),
        (b'{"f":"push_many","a":[[{"to":"a","text":""},{"to":1,"text":""}]]}', "$[1].to"),
        (b'{"f":"push_many","a":[[{"to":"a","text":""},{"to":"a","text":"","x":1}]]}', "$[1].x"),
        (b'{"f":"push_many","a":[[{"to":"a","text":""},{"to":"a","text":"","event":""}]]}', "$[1].event"),
        (b'{"f":"push_many","a":[[{"to":"a"}]]}', "$[0].data"),
        (b'{"f":"push_many","a":[{"to":"a","text":""}]}', "$"),
    ],
)
def test_a_wrong_argument_is_named_by_its_path_in_the_push(payload: bytes, path: str) -> None:
    with pytest.raises(PushError) as caught:
        pushes(payload)
    assert caught.value.path == path


def test_php_and_floats_are_read() -> None:
    job = decode_job(b'{"f":"push","a":[{"to":"a","text":"x"}],"k":[],"et":1764500000000.5}')
    assert decode_pushes(job).options == Options()
    assert int(job.et) == 1764500000000
