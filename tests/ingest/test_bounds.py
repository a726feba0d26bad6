"""Bounds of a request's head, trailers and chunks."""

import socket
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.service import Service


@pytest.mark.parametrize("head", [b"x: " + b"a" * 10_000_000, b"a: b\r\n" * 20_000], ids=["a value", "lines"])
def test_a_head_over_32_kib_is_refused(ingest: Service, head: bytes) -> None:
    address = urlsplit(ingest.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        with suppress(ConnectionError):
            connection.sendall(b"POST /push HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


@pytest.mark.parametrize("trailers", [b"x: " + b"a" * 10_000_000, b"a: b\r\n" * 200_000], ids=["a value", "lines"])
def test_trailers_over_32_kib_are_refused(ingest: Service, trailers: bytes) -> None:
    address = urlsplit(ingest.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(b"POST /push HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b'1b\r\n{"to": "room:1", "data": 1}\r\n0\r\n')
        with suppress(ConnectionError):
            connection.sendall(trailers + b"\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


def test_chunks_of_any_size_are_taken(ingest: Service) -> None:
    body = b'{"to": "room:1", "data": "%s"}' % (b"x" * 300_000)
    for size in (1000, 64 << 10, 200_000):
        chunks = [body[start : start + size] for start in range(0, len(body), size)]
        assert httpx.post(f"{ingest.url}/push", content=iter(chunks), timeout=20).status_code == 200


def test_bodies_may_be_longer_than_heads_and_follow_each_other(ingest: Service) -> None:
    with httpx.Client(base_url=ingest.url, timeout=20) as client:
        for size in (10, 100_000, 65_536, 900_000):
            answer = client.post("/push", json={"to": "room:1", "data": "x" * size}, headers={"x-filler": "y" * 30_000})
            assert answer.status_code == 200
