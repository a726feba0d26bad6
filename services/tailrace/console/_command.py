"""`tailrace console`."""

import argparse

import uvloop

from tailrace.console._app import create_app
from tailrace.console._config import ConsoleConfig
from tailrace.service import Command, add_settings, bind, configure_logging, is_loopback, raise_file_limit, read_settings
from tailrace.service.http import Server

_GRACE_S = 5
_EPILOG = """examples:
  tailrace console
  tailrace console --edge-url https://events.example.org --ingest-url https://push.example.org
  tailrace console --edge-url / --ingest-url /ingest     # behind one proxy, on the page's own host

Edges and ingest must allow the page's origin:
  tailrace edge --origins http://127.0.0.1:8002
  tailrace ingest --origins http://127.0.0.1:8002
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, ConsoleConfig)


def _run(namespace: argparse.Namespace) -> int:
    config = read_settings(ConsoleConfig, namespace)
    configure_logging(config.log_level)
    raise_file_limit()
    listener = bind(config.host, config.port)
    guarded = is_loopback(listener.getsockname()[0])
    server = Server("console", create_app(config), grace_s=_GRACE_S, hosts=config.hosts if guarded else None)
    uvloop.run(server.serve_until_signal(listener))
    return 0


COMMAND = Command("Serve the demo page.", _configure, _run, _EPILOG)
