"""The source of the demo page's dashboard: a sample of this machine and of tailrace, once a second while someone watches."""

from tailrace.demo._machine import Sample, machine

__all__ = ["Sample", "machine"]
