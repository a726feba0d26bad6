"""Test an application against a real tailrace: an embedded Valkey, an edge, a worker and ingest on free ports.

`System` starts one and `Listener` reads a stream as a browser would. `tailrace` is a pytest fixture for the whole session; name the
modules with your functions by a session fixture `tailrace_functions` of your own. It needs `tailrace[testing]`.
"""

from tailrace.testing._fixtures import tailrace, tailrace_functions
from tailrace.testing._listener import Listener, NoEventError, Received
from tailrace.testing._system import NotStartedError, System

__all__ = ["Listener", "NoEventError", "NotStartedError", "Received", "System", "tailrace", "tailrace_functions"]
