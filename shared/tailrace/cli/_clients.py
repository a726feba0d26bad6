"""`tailrace clients`: who is connected, as the registry knows it."""

import argparse
import asyncio

import msgspec

from tailrace.cli._arguments import channel
from tailrace.cli._locate import Target, add_target, find_target
from tailrace.cli._show import clock, table
from tailrace.events import Registry
from tailrace.redis import connect
from tailrace.service import Command
from tailrace.service._plain import plain_json
from tailrace.wire import ClientInfo, Keys, registered_name

_EPILOG = """
examples:
  tailrace clients
  tailrace clients --channel room:1
  tailrace clients --json | jq -r .client

A channel name of more than 20 characters is shown as # and a hash of it; --channel takes the name itself. After "..." there are
more channels than the registry has room for.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--channel", type=channel, metavar="NAME", help="those in this channel only")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_target(parser)


def _run(arguments: argparse.Namespace) -> int:
    clients = asyncio.run(_connected(find_target(arguments)))
    shown = [client for client in clients if not arguments.channel or registered_name(arguments.channel) in client.channels]
    if arguments.json:
        for client in shown:
            print(plain_json(msgspec.json.encode(client)))
        return 0
    if shown:
        rows = [(client.client, client.edge, clock(client.since), _channels(client)) for client in shown]
        print(table(("CLIENT", "EDGE", "SINCE", "CHANNELS"), rows))
    edges = len({client.edge for client in shown})
    print(f"{len(shown)} client{'s' * (len(shown) != 1)} on {edges} edge{'s' * (edges != 1)}")
    return 0


def _channels(client: ClientInfo) -> str:
    return " ".join([*client.channels, *([] if client.listed else ["..."])])


async def _connected(target: Target) -> list[ClientInfo]:
    async with connect(target.redis) as redis:
        return await Registry(redis, Keys(target.prefix)).clients()


COMMAND = Command("List the connected clients: id, edge, since when, in which channels.", _configure, _run, _EPILOG)
