"""What URLs of several servers say, and what of any URL is printed."""

import pytest

from tailrace.push import Pusher
from tailrace.redis import connect, connect_queue, redact
from tailrace.redis._urls import read_url
from tailrace.wire import SetupError


def test_a_cluster_is_named_by_some_of_its_nodes() -> None:
    servers = read_url("rediss+cluster://u:p%40@a:7000,b,[::1]:7001/?ssl_ca_certs=/ca")
    assert servers is not None
    assert servers.addresses == (("a", 7000), ("b", 6379), ("::1", 7001))
    assert [servers.url(address) for address in servers.addresses] == [
        "rediss://u:p%40@a:7000/0?ssl_ca_certs=/ca",
        "rediss://u:p%40@b:6379/0?ssl_ca_certs=/ca",
        "rediss://u:p%40@[::1]:7001/0?ssl_ca_certs=/ca",
    ]


def test_sentinels_have_logins_of_their_own() -> None:
    servers = read_url("redis+sentinel://:pass@a,b:26380/events/2?sentinel_password=word&health_check_interval=3&sentinel_username=me")
    assert servers is not None
    assert (servers.kind, servers.service, servers.addresses) == ("sentinel", "events", (("a", 26379), ("b", 26380)))
    assert servers.url(("c", 6379)) == "redis://:pass@c:6379/2?health_check_interval=3"
    assert servers.sentinel_url(("a", 26379)) == "redis://me:word@a:26379?health_check_interval=3"


def test_one_server_is_no_several() -> None:
    assert [read_url(url) for url in ("redis://a/0", "rediss://a", "unix:///run/redis.sock")] == [None] * 3


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://",
        "redis+cluster://u:secret@a:b",
        "redis+cluster://u:secret@a:7000/1",
        "redis+cluster://u:se/cret@a:7000",
        "redis+sentinel://:secret@a:26379",
        "redis+sentinel://:secret@a:26379/events/x",
        "redis+cluster://:secret@a:7000?no_such_option=1#x",
        "redis+magic://:secret@a",
        "redis://:sec ret@a:x",
        "redis://user:secret",
    ],
)
def test_a_url_that_cannot_be_read_says_what_is_needed_without_its_password(url: str) -> None:
    with pytest.raises(SetupError, match=r"bad Redis URL .*redis\+cluster://.*redis\+sentinel://") as caught:
        connect(url)
    assert "secret" not in str(caught.value)
    assert "ret@" not in str(caught.value)


def test_a_queue_on_a_cluster_is_refused() -> None:
    for make in (connect_queue, Pusher):
        with pytest.raises(SetupError, match=r"queue can't be on a Cluster.*--queue-redis"):
            make("redis+cluster://127.0.0.1:7000")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("redis+cluster://u:p@a:1,b:2", "redis+cluster://***@a:1,b:2"),
        ("redis+sentinel://:p@a,b:2/s/0?sentinel_password=p&x=1", "redis+sentinel://***@a,b:2/s/0?sentinel_password=***&x=1"),
        ("redis://:secret", "redis://***"),
        ("redis://user:secret", "redis://***"),
        ("redis+cluster://a:1,b:2 and redis://[::1]:6379/0", "redis+cluster://a:1,b:2 and redis://[::1]:6379/0"),
    ],
)
def test_redact(text: str, printed: str) -> None:
    assert redact(text) == printed


@pytest.mark.parametrize("path", ["prod", "0/1", "-1", "1x"])
def test_a_database_that_is_no_number_is_refused(path: str) -> None:
    for make in (connect, connect_queue):
        with pytest.raises(SetupError, match=r"\[/db\]"):
            make(f"redis://127.0.0.1:6379/{path}")
