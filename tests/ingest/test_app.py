"""What stands around the contract: health, the token, the OpenAPI page, other ways in."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tailrace.cli import main
from tests.support.service import Service

TOKEN = "s3cret-token"


@pytest.fixture(scope="module")
def guarded(system_url: str) -> Iterator[Service]:
    with Service("ingest", "--redis", system_url, environ={"TAILRACE_PUSH_TOKEN": TOKEN}) as service:
        yield service
        assert service.terminate() == 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_told_without_its_body_too(ingest: Service, path: str) -> None:
    answer = httpx.head(ingest.url + path)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "application/json", b"")


def test_health(ingest: Service) -> None:
    assert httpx.get(f"{ingest.url}/healthz").json() == {"state": "alive"}
    assert httpx.get(f"{ingest.url}/readyz").json() == {"state": "ready"}


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/push"), ("GET", "/jobs/x"), ("DELETE", "/jobs/x"), ("GET", "/schema/openapi.json")]
)
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xfc"])
def test_without_the_token_nothing_is_to_be_had(guarded: Service, method: str, path: str, header: str | None) -> None:
    headers = {"authorization": header.encode("latin-1")} if header else {}
    answer = httpx.request(method, guarded.url + path, headers=headers)  # type: ignore[arg-type]
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json() == {"status": "error", "message": "a bearer token is needed", "path": "$"}


def test_with_the_token_all_is(guarded: Service) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    body = {"to": "room:1", "data": 1}
    assert httpx.post(f"{guarded.url}/push", json=body, headers=headers).status_code == 200
    assert httpx.get(f"{guarded.url}/schema/openapi.json", headers=headers).status_code == 200
    assert TOKEN not in guarded.stderr


@pytest.mark.parametrize("header", [f"bearer {TOKEN}", f"BEARER   {TOKEN}"])
def test_the_scheme_may_be_written_in_any_case(guarded: Service, header: str) -> None:
    """RFC 9110, 11.1 and 11.4: its name has no case, and one space or more follow it."""
    assert httpx.get(f"{guarded.url}/jobs/x", headers={"authorization": header}).status_code == 404


@pytest.mark.parametrize("token", ["grün-" + TOKEN, "令牌" + TOKEN, TOKEN + " ", TOKEN + "\n", "two words " + TOKEN])
def test_a_token_that_could_never_match_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], token: str
) -> None:
    monkeypatch.setenv("TAILRACE_PUSH_TOKEN", token)
    assert main(["ingest", "--redis", "redis://127.0.0.1:1", "--port", "0"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "TAILRACE_PUSH_TOKEN" in err
    assert TOKEN not in err


def test_probes_need_no_token(guarded: Service) -> None:
    assert httpx.get(f"{guarded.url}/healthz").status_code == 200
    assert httpx.get(f"{guarded.url}/readyz").status_code == 200


def test_openapi_describes_what_is_used(ingest: Service) -> None:
    document = httpx.get(f"{ingest.url}/schema/openapi.json").json()
    assert set(document["paths"]) == {"/push", "/jobs/{job}"}
    push = document["paths"]["/push"]["post"]
    assert set(push["responses"]) == {
        "200",
        "202",
        "400",
        "401",
        "403",
        "404",
        "408",
        "409",
        "410",
        "413",
        "415",
        "422",
        "429",
        "500",
        "503",
    }
    array, one = push["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert array["items"] == one
    assert set(one["properties"]) >= {"to", "event", "data", "text", "key", "delay_s", "at", "expires_s", "stamp"}
    assert all(field["description"] for field in one["properties"].values())
    assert set(document["paths"]["/jobs/{job}"]) == {"get", "delete"}
    assert "$ref" not in str(document)


def test_its_page_shows_all_of_it_without_anything_from_elsewhere(ingest: Service) -> None:
    document, page = httpx.get(f"{ingest.url}/schema/openapi.json").json(), httpx.get(f"{ingest.url}/schema")
    assert "html" in page.headers["content-type"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert f"{method.upper()} {path}" in page.text
            assert all(f"<b>{status}</b>" in page.text for status in operation["responses"])
    for field in ("to", "event", "data", "text", "key", "delay_s", "at", "expires_s", "stamp", "Prefer"):
        assert f"<code>{field}</code>" in page.text
    for path in ("/schema", "/schema/", "/schema/page"):
        shown = httpx.get(ingest.url + path)
        (link,) = re.findall(r'href="([^"]*openapi.json)"', shown.text)
        assert shown.url.join(link).path == "/schema/openapi.json"
    assert "default-src 'none'" in page.text
    assert not re.search(r"<script|https?://|src=|url\(", page.text)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/push", 405)])
def test_other_ways_in_are_answered_in_the_same_form(ingest: Service, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, ingest.url + path)
    assert (answer.status_code, set(answer.json())) == (status, {"status", "message", "path"})
