"""Other versions of arq, those of the last two years: their producers, clients and workers, with ours and beside it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WHEELS = {  # 0.28.0, of 2026-04, is what is installed
    "0.27.0": "4ca085671520472e45f09f5c37a1495097e5c4a79faaf18efcb9a759f8917f87",  # 2026-02
    "0.26.3": "9f4b78149a58c9dc4b88454861a254b7c4e7a159f2c973c89b548288b77e9005",  # 2025-01
    "0.26.1": "789d12ca7d69919bd2e641e44f3f14a38bd854daa7ded22cdd725796e8c65352",  # 2024-08: the newest for the rest of that year
}


@pytest.mark.prove
@pytest.mark.timeout(180)
@pytest.mark.parametrize("version", WHEELS)
def test_what_stock_arq_is_promised_holds_for_other_versions(version: str, tmp_path: Path) -> None:
    requirements, folder = tmp_path / "requirements.txt", tmp_path / "arq"
    requirements.write_text(f"arq=={version} --hash=sha256:{WHEELS[version]}\n")
    where = ("--target", str(folder), "--requirement", str(requirements))
    run("-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", *where)
    with_it = {**os.environ, "PYTHONPATH": str(folder)}
    assert version == run("-c", "import importlib.metadata as m; print(m.version('arq'))", environ=with_it).strip()
    files = [str(HERE / name) for name in ("test_stock.py", "test_fleets.py", "test_line.py", "test_calls.py")]
    assert "passed" in run("-m", "pytest", "-p", "no:cacheprovider", "-k", "stock", *files, environ=with_it)


def run(*words: str, environ: dict[str, str] | None = None) -> str:
    ended = subprocess.run([sys.executable, *words], env=environ, cwd=HERE.parents[1], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
