"""Runs arq's own tests with tailrace's worker in the place of arq's.

The tests are fetched when they are run, from arq's source distribution, and are not part of this repository.
"""

import ast
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

INSIDE = Path(__file__).parent / "inside"
SDISTS = {
    "0.28.0": "a458188aefc2d7ee17d136f80d8fa8df1d6eba4ceebdead87e9f172d027dc311",
    "0.27.0": "302a16e78396923fbff0f542fee0e04c731cc549195d18d039be3cc1a3431106",
    "0.26.3": "362063ea3c726562fb69c723d5b8ee80827fdefda782a8547da5be3d380ac4b1",
    "0.26.1": "a4db5395c3aaefe0610074b0aa125ff3392aa90a2214973be566796a5819d9cf",
}
TOOLS = {  # what arq's tests are written for
    "pytest==8.4.2": "872f880de3fc3a5bdc88a11b39c9710c3497a547cfa9320bc3c5e62fbf272e79",
    "pytest-asyncio==0.23.6": "68516fdd1018ac57b846c9846b954f0393b26f094764a28c955eabb0536a4e8a",
    "pytest-mock==3.15.1": "0a25e2eb88fe5168d535041d09a4529a188176ae608a6d249ee65abc0949630d",
    "dirty-equals==0.7.1.post0": "7fb9217ea7cd04c0e95ace3bc717e2ee5532b8990518533483e53b5a43903c88",
    "pytz==2025.2": "5ddf76296dd8c44c26eb8f4b6f35488f3ccbf6fbbd7adee0b7262d43f0ec2f00",
    "tzdata==2025.2": "1a403fada01ff9221ca8044d701868fa132215d84beb92242d9acd2147f667a8",
}
_AWAY = ("Failed to establish a new connection", "Temporary failure in name resolution", "ProxyError", "Max retries exceeded", "timed out")
_OLD_REDIS = ("-W", "ignore:Call to deprecated close:DeprecationWarning")  # arq's tests know the names of redis-py 4


class AwayError(Exception):
    """The package registry can't be reached."""


def fetch(version: str, folder: Path) -> Path:
    """Unpack arq's source, and beside it the tools of its tests. Raises AwayError."""
    _pip(folder, {f"arq=={version}": SDISTS[version]}, "download", "--no-binary", ":all:", "--no-build-isolation", "--dest", str(folder))
    _pip(folder, TOOLS, "install", "--only-binary", ":all:", "--target", str(folder / "tools"))
    with tarfile.open(folder / f"arq-{version}.tar.gz") as packed:
        packed.extractall(folder, filter="data")
    for file in (folder / f"arq-{version}" / "tests").glob("test_*.py"):
        file.write_text(without_checks_of_logs(file.read_text()))
    return folder / f"arq-{version}"


def _pip(folder: Path, wanted: dict[str, str], *words: str) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{name} --hash=sha256:{digest}\n" for name, digest in wanted.items()))
    command = [sys.executable, "-m", "pip", words[0], "--quiet", "--no-deps", "--require-hashes", *words[1:], "--requirement"]
    ended = subprocess.run([*command, str(requirements)], capture_output=True, text=True, check=False)
    if ended.returncode and any(each in ended.stderr for each in _AWAY):
        raise AwayError
    assert ended.returncode == 0, ended.stderr


def without_checks_of_logs(source: str) -> str:
    """Take out assertions about log lines, which are arq's own and promised by nobody; the rest of each test stays."""
    return ast.unparse(_WithoutLogs().visit(ast.parse(source)))


class _WithoutLogs(ast.NodeTransformer):
    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        named = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        return ast.copy_location(ast.Pass(), node) if named & {"log", "logs", "caplog"} else node


def run(source: Path, redis: str, *selected: str) -> dict[str, str]:
    """Run arq's tests, or some of them, against the Redis at `host:port`, and return how each ended."""
    outcomes = source / "outcomes.json"
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (source.parent / "tools", source, INSIDE))),
        "ARQ_TESTS_REDIS": redis,
        "ARQ_TESTS_OUTCOMES": str(outcomes),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    plugins = [word for name in ("tailrace_for_arq", "pytest_asyncio.plugin", "pytest_mock", "pytest_timeout") for word in ("-p", name)]
    # a worker that a test cancels and leaves is still ending when the test's loop closes, which a later test would be blamed for
    plugins += ["-p", "no:unraisableexception"]
    command = [sys.executable, "-m", "pytest", *plugins, "-q", "--tb=native", *_OLD_REDIS, *selected]
    ended = subprocess.run(command, cwd=source, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 1), ended.stdout[-5000:] + ended.stderr[-5000:]
    (source / "output.txt").write_text(ended.stdout)
    return dict(json.loads(outcomes.read_text()))
