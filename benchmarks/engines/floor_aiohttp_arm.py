"""The floor over the connections that Amends has: what is left of the difference is no longer the client's."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.engines.floor_arm import Floor, floor_with
from benchmarks.engines.order import Order
from benchmarks.engines.vendor import Vendor
from connectors.transport import Transport


@asynccontextmanager
async def opened(order: Order, vendor: Vendor) -> AsyncIterator[Floor]:
    connections = Transport(ssl.create_default_context, connect_s=30, read_s=30)
    async with floor_with({"transport": connections}, order, vendor) as system:
        yield system
