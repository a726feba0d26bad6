"""`tailrace edge`."""

import argparse

import msgspec
import uvloop

from tailrace.edge._config import HIGHEST_PORT, CommandConfig
from tailrace.edge.http._prefork import Group, Member, reserved
from tailrace.edge.http._server import serve
from tailrace.service import Command, SettingsError, add_settings, announce, configure_logging, raise_file_limit, read_settings

_EXAMPLES = """examples:
  tailrace edge
  tailrace edge --port 8010 --redis redis://127.0.0.1:6380/0 --origins https://example.org
  tailrace edge --processes 4 --metrics-port 8900           # metrics at 8900 to 8903
  curl -N 'http://127.0.0.1:8000/sse?channel=room:1'

SIGTERM and SIGINT drain: streams are closed within --drain-s seconds, and clients come back elsewhere.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    add_settings(parser, CommandConfig)


def _run(arguments: argparse.Namespace) -> int:
    config = read_settings(CommandConfig, arguments)
    configure_logging(config.log_level)
    raise_file_limit()
    if config.processes > 1:
        return _run_group(config)
    return uvloop.run(serve(config, config.host, config.port))


def _run_group(config: CommandConfig) -> int:
    last = config.metrics_port + config.processes - 1
    if last > HIGHEST_PORT:
        raise SettingsError(f"--metrics-port: the last of {config.processes} processes would have {last}; choose a lower one")
    with reserved(config.host, config.port) as address:

        def run(member: Member) -> int:
            own = msgspec.structs.replace(config, metrics_port=config.metrics_port and config.metrics_port + member.number)
            return uvloop.run(serve(own, *address, member))

        return Group(config.processes, run, lambda: announce("edge", *address)).keep()


COMMAND = Command("Stream events to browsers (Server-Sent Events).", _configure, _run, _EXAMPLES)
