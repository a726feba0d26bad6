"""The built wheel and clean environments for its extras; their pinned dependencies are kept between runs."""

import fcntl
import hashlib
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Environment:
    extra: str
    home: Path

    @property
    def bin(self) -> Path:
        return self.home / "bin"

    def python(self, *arguments: str) -> str:
        return _output([str(self.bin / "python"), "-P", *arguments])

    def pip(self, *arguments: str) -> str:
        return _output([sys.executable, "-m", "pip", "--python", str(self.bin / "python"), *arguments])

    def tailrace(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.bin / "tailrace", *arguments], capture_output=True, text=True, check=False)


def build_wheel(folder: Path, source: Path = _ROOT, *, from_sdist: bool = False) -> Path:
    """Build into `folder`, from the working tree (or another source) or from the source distribution that it makes first."""
    if from_sdist:
        _output([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)], _ROOT)
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        source = folder / archive.name.removesuffix(".tar.gz")
    _output([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], source)
    (wheel,) = folder.glob("*.whl")
    return wheel


@contextmanager
def make_environments(wheel: Path, extras: Sequence[str]) -> Iterator[Mapping[str, Environment]]:
    """Install the wheel into one environment for each extra, all at once.

    The lock is held until the tests are through, since two runs would share the environments.
    """
    kept = Path(sys.prefix) / "extras"
    kept.mkdir(exist_ok=True)
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with ThreadPoolExecutor(len(extras)) as pool:
            made = pool.map(lambda extra: _installed(kept, wheel, extra), extras)
            yield {environment.extra: environment for environment in made}


def _installed(kept: Path, wheel: Path, extra: str) -> Environment:
    requirements = _ROOT / "requirements" / f"{extra}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    environment = Environment(extra, kept / f"{extra}-{digest}")
    complete = environment.home / ".complete"
    if not complete.exists():
        _output([sys.executable, "-m", "venv", "--clear", "--without-pip", str(environment.home)])
        environment.pip("install", "--quiet", "--require-hashes", "-r", str(requirements))
        complete.touch()
    environment.pip("install", "--quiet", "--no-deps", "--force-reinstall", str(wheel))
    return environment


def _output(command: Sequence[str], folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
