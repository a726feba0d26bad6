"""How scripts are put together, and when their files are read."""

import subprocess
import sys

from tailrace.events._scripts import script as log_script
from tailrace.queue import script as queue_script

_IMPORT = "import sys; sys.addaudithook(lambda event, args: event == 'open' and str(args[0]).endswith('.lua') and print(args[0]))\n"


def _lua_files(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", _IMPORT + program], capture_output=True, text=True, timeout=60, check=True)
    return [line.rpartition("/")[2] for line in done.stdout.splitlines()]


def test_importing_reads_no_scripts() -> None:
    assert _lua_files("import tailrace.push, tailrace.events, tailrace.queue") == []


def test_a_script_reads_its_own_files_alone() -> None:
    program = "from tailrace.queue import script; script('take')"
    assert set(_lua_files(program)) == {"take.lua", "batch.lua", "prelude.lua"}


def test_a_script_has_the_helpers_that_it_calls_before_it_and_no_others() -> None:
    text = queue_script("enqueue")
    assert text.startswith("#!lua\n")
    assert text.index("local function now_ms()") < text.index("now_ms(), {}")
    assert "local function ring(" in text
    assert "replication_id" not in text


def test_a_part_s_helpers_come_along() -> None:
    text = log_script("commit")
    assert text.index("local function replication_id()") < text.index("local function current_generation(")
    assert "local function read_typed(" in text
    assert "local function ring(" not in text
