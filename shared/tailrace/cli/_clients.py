"""`tailrace clients`: lists the connected clients in the registry."""

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

A channel name of more than 20 characters is shown as # and its hash; pass the name itself to --channel. "..." stands for channels
that the registry has no room for.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--channel", type=channel, metavar="NAME", help="only those in this channel")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
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


COMMAND = Command("List the connected clients: id, edge, time of connection, channels.", _configure, _run, _EPILOG)
