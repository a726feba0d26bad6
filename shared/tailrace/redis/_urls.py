"""Where Redis is, as a URL says it: one server, a Cluster, or a primary that Sentinels know; and what of a URL may be printed."""

import re
from typing import Literal, NamedTuple, TypeAlias

from tailrace.wire import SetupError

Address: TypeAlias = tuple[str, int]
"""Host and port."""

_SEVERAL = re.compile(
    r"(?P<scheme>rediss?)\+(?P<kind>cluster|sentinel)://(?:(?P<user>[^@/?#]*)@)?(?P<hosts>[^@/?#]+)(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?"
)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+)(?::(?P<port>\d{1,5}))?")
_SENTINEL_LOGIN = re.compile(r"(?<=[?&])sentinel_(username|password)=([^&]*)&?")
_PORTS = {"cluster": 6379, "sentinel": 26_379}
_FORMS = (
    "redis://[[user]:password@]host[:port][/db], redis+cluster://[[user]:password@]host:port[,host:port...] or "
    "redis+sentinel://[[user]:password@]host:port[,host:port...]/service[/db] is needed, "
    "with special characters of the password percent-encoded"
)
# Up to the last @, since a password may itself have @ and, unquoted as it shouldn't be, / # or ? too.
_LOGIN = re.compile(r"(?<=://)\S*@")
_NO_PORT = re.compile(r"(?<=://)(?::\S*|[^\s/@:\[]+:(?!\d+\b)\S+)")
_PARAMETER = re.compile(r"(?<=[?&])(\w*(?:password|token|ticket|secret|client_id)=)[^&\s\"']*", re.IGNORECASE)


class Servers(NamedTuple):
    """Several servers that one URL names: seeds of a Cluster, or Sentinels."""

    kind: Literal["cluster", "sentinel"]
    addresses: tuple[Address, ...]
    service: str
    """What Sentinels call the primary and its replicas."""
    head: str
    """What a URL of one server begins with, up to its host, ..."""
    tail: str
    """... and what follows its port."""
    sentinel_head: str
    """The same as `head` for Sentinels, which have logins of their own."""

    def url(self, address: Address) -> str:
        """Return the URL of one server that holds data."""
        return f"{self.head}{_quoted(address[0])}:{address[1]}{self.tail}"

    def sentinel_url(self, address: Address) -> str:
        """Return the URL of a Sentinel."""
        _, mark, query = self.tail.partition("?")
        return f"{self.sentinel_head}{_quoted(address[0])}:{address[1]}{mark}{query}"


def read_url(url: str) -> Servers | None:
    """Return the servers that a URL names, or None where it names one. Raises SetupError: it can't be read."""
    if not re.match(r"rediss?\+", url):
        return None
    match = _SEVERAL.fullmatch(url)
    hosts = [_HOST.fullmatch(part) for part in match["hosts"].split(",")] if match else []
    if not match or not all(hosts):
        raise bad_url(url)
    kind: Literal["cluster", "sentinel"] = "cluster" if match["kind"] == "cluster" else "sentinel"
    addresses = tuple([(host["host"].strip("[]"), int(host["port"] or _PORTS[kind])) for host in hosts if host])
    service, _, database = (match["path"] or "").removeprefix("/").partition("/")
    if (kind == "sentinel") != bool(service) or not re.fullmatch(r"\d*", database):
        raise bad_url(url)
    logins = dict(_SENTINEL_LOGIN.findall(match["query"] or ""))
    login = f"{logins.get('username', '')}:{logins['password']}@" if "password" in logins else ""
    query = _SENTINEL_LOGIN.sub("", match["query"] or "").rstrip("?&")
    head = f"{match['scheme']}://"
    own = head + f"{match['user']}@" if match["user"] else head
    return Servers(kind, addresses, service, own, f"/{database or 0}{query}", head + login)


def bad_url(url: str) -> SetupError:
    """Make the error that says what is needed, without the URL's password."""
    whole = re.sub(r"\s", "%20", url)  # a login ends at the last @, and what is printed mustn't begin behind a blank
    return SetupError(f"bad Redis URL {redact(whole)!r}: {_FORMS}")


def redact(text: str) -> str:
    """Take passwords, tokens and client ids out of the URLs in a text, however badly they are written."""
    return _PARAMETER.sub(r"\1***", _NO_PORT.sub("***", _LOGIN.sub("***@", text)))


def _quoted(host: str) -> str:
    return f"[{host}]" if ":" in host else host
