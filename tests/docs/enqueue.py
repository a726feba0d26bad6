"""Writes docs/examples/producers/enqueue.lua, the enqueue script that producers may copy: `python -m tests.docs.enqueue`.

The package's own file lacks the helpers that the package's scripts share; the published one is whole.
"""

from tailrace.queue import script
from tests.docs.pages import ROOT

PUBLISHED = ROOT / "docs/examples/producers/enqueue.lua"

if __name__ == "__main__":
    PUBLISHED.write_text(script("enqueue"), encoding="utf-8")
