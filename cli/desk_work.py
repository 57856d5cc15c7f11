"""What an agent does with tickets, on the store."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import typer

from amends.domain.contacts import mask
from amends.domain.sla import state_of
from amends.store import journeys, lookups, tickets
from amends.store.engine import Store, Tx
from amends.store.tickets import TicketProblem
from cli.guard import Trouble
from cli.show import moment, print_json, print_table


def read_tickets(store: Store, agent: str | None) -> list[dict[str, Any]]:
    """The unsolved tickets as plain data, masked, with aware times in the zone of each case's journey version."""
    now = datetime.now(UTC)
    with store.read() as tx:
        found = tickets.unsolved(tx, assignee=agent)
        clocks = _running(tx, [ticket.case_id for ticket in found])
        zones = {ticket.id: _zone(tx, ticket.id) for ticket in found}
    rows = []
    for ticket in found:
        clock = min(clocks.get(ticket.case_id, []), key=lambda c: c.due_at, default=None)
        zone = zones[ticket.id]
        rows.append(
            {
                "id": ticket.id,
                "case": f"AM{ticket.case_id:06d}",
                "journey": ticket.journey,
                "state": ticket.state.value,
                "severity": ticket.severity.value,
                "agent": ticket.assignee,
                "opened_at": ticket.opened_at.astimezone(zone),
                "next_target": clock.kind.value if clock else None,
                "due_at": clock.due_at.astimezone(zone) if clock else None,
                "sla": state_of(clock, now).value if clock else None,
                "summary": mask(ticket.summary),
            }
        )
    return rows
