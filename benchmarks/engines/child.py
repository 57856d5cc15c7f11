"""One run of one system, in a process of its own: its memory, its imports and its CPU are nobody else's."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Protocol

from amends.garbage import collect_seldom
from benchmarks.checks import same_book
from benchmarks.engines.cases import Complaint, Day, complaints, day, expected_book, name_of
from benchmarks.engines.meter import Meter, peak_mib
from benchmarks.engines.order import Measured, Order
from benchmarks.engines.vendor import Vendor, open_vendor
from benchmarks.part import FailedRun


class System(Protocol):
    """One system under test; people act between what the meter sees."""

    async def play(self, batch: Sequence[Complaint], on: Day, meter: Meter) -> None:
        """Bring every complaint to its closed case. Raises FailedRun when one is not."""
        ...


class Arm(Protocol):
    """A module `benchmarks.engines.NAME_arm`."""

    def opened(self, order: Order, vendor: Vendor) -> AbstractAsyncContextManager[System]: ...


async def run(order: Order) -> Measured:
    """Raises FailedRun when the vendor's book is not the expected one, however quick the run was."""
    arm: Arm = import_module(f"benchmarks.engines.{order.arm}_arm")
    yesterday, today, meter = day(0), day(1), Meter(order.servers)
    warm = complaints(1, order.warm_up, yesterday)
    batch = complaints(1 + len(warm), order.cases, today)
    with open_vendor(order.vendor) as vendor:
        async with arm.opened(order, vendor) as system:
            if warm:
                vendor.set_clock(yesterday.begins)
                await system.play(warm, yesterday, Meter())
            vendor.set_clock(today.begins)
            await system.play(batch, today, meter)
        same_book(vendor.book(), expected_book([*warm, *batch]), name_of)
    return Measured(len(batch), meter.wall_s, meter.cpu_s, meter.server_cpu_s, peak_mib())


def main() -> None:
    """`python -m benchmarks.engines.child ORDER OUT`; exit code 1 with the reason when the run is a failed one."""
    collect_seldom()  # as served sweeps do; the floor and the peers have the same of it
    order = Order.read(Path(sys.argv[1]))
    if order.core is not None:
        os.sched_setaffinity(0, {order.core})
    try:
        measured = asyncio.run(run(order))
    except FailedRun as failure:
        sys.exit(f"{order.arm}: {failure}")
    Path(sys.argv[2]).write_text(json.dumps(asdict(measured)), "utf-8")


if __name__ == "__main__":
    main()
