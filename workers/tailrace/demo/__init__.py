"""What the demo page's dashboard shows: this machine and its tailrace, seen once a second while somebody looks."""

from tailrace.demo._machine import Sample, machine

__all__ = ["Sample", "machine"]
