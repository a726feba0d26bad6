"""Calls of an application's functions: how they are declared and loaded, claimed, run, scheduled and ended.

Nothing outside `tailrace.worker` imports this package, and it shares nothing with `pushes` but the modules of the worker itself.
"""
