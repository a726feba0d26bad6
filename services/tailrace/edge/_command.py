"""`tailrace edge`."""

import argparse

import uvloop

from tailrace.cli import Command, add_settings, configure_logging, read_settings
from tailrace.edge._config import CommandConfig
from tailrace.edge._limits import raise_file_limit
from tailrace.edge._server import serve

_EXAMPLES = """examples:
  tailrace edge
  tailrace edge --port 8010 --redis redis://127.0.0.1:6380/0 --origins https://example.org
  curl -N 'http://127.0.0.1:8000/sse?channel=room:1'

SIGTERM and SIGINT drain: streams are closed over --drain-s seconds, and clients come back elsewhere.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, CommandConfig)


def _run(arguments: argparse.Namespace) -> int:
    config = read_settings(CommandConfig, arguments)
    configure_logging(config.log_level)
    raise_file_limit()
    uvloop.run(serve(config, config.host, config.port))
    return 0


COMMAND = Command("Stream events to browsers (Server-Sent Events).", _configure, _run, _EXAMPLES)
