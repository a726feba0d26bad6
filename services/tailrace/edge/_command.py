"""`tailrace edge`."""

import argparse

import uvloop

from tailrace.cli import Command, add_settings, configure_logging, read_settings
from tailrace.edge._config import EdgeConfig
from tailrace.edge._limits import raise_file_limit
from tailrace.edge._server import serve

_HIGHEST_PORT = 65_535
_LEVELS = ("debug", "info", "warning", "error")
_EXAMPLES = """examples:
  tailrace edge
  tailrace edge --port 8010 --redis redis://127.0.0.1:6380/0 --origins https://example.org
  curl -N 'http://127.0.0.1:8000/sse?channel=room:1'

SIGTERM and SIGINT drain: streams are closed over --drain-s seconds, and clients come back elsewhere.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=8000, help="port to listen on; 0 takes a free one (default: 8000)")
    parser.add_argument(
        "--log-level", type=str.lower, choices=_LEVELS, default="info", help="what is logged: this level and above (default: info)"
    )
    add_settings(parser, EdgeConfig)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= _HIGHEST_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 0 to {_HIGHEST_PORT}")
    return int(text)


def _run(arguments: argparse.Namespace) -> int:
    configure_logging(arguments.log_level)
    config = read_settings(EdgeConfig, arguments)
    raise_file_limit()
    uvloop.run(serve(config, arguments.host, arguments.port))
    return 0


COMMAND = Command("Stream events to browsers (Server-Sent Events).", _configure, _run, _EXAMPLES)
