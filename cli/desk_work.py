"""What an agent does with tickets, on the store."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from amends.domain.contacts import mask
from amends.domain.sla import SlaClock, state_of
from amends.store import journeys, lookups, tickets
from amends.store.engine import Store, Tx
from amends.store.tickets import TicketProblem
from cli.csv_out import write_csv
from cli.guard import Trouble
from cli.show import moment, print_json, print_table


def read_tickets(store: Store, agent: str | None, limit: int) -> list[dict[str, Any]]:
    """Unsolved tickets as plain data, masked, with aware times in the zone of each case's journey version."""
    now = datetime.now(UTC)
    with store.read() as tx:
        found = tickets.unsolved(tx, assignee=agent, limit=limit)
        ids = [ticket.case_id for ticket in found]
        running = _running(tx, ids)
        versions = lookups.versions_of(tx, ids)
        zones = {version: journeys.load(tx, version).zone for version in set(versions.values())}
    rows = []
    for ticket in found:
        zone = zones[versions[ticket.case_id]]
        clock = min(running.get(ticket.case_id, []), key=lambda clock: clock.due_at, default=None)
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


def _running(tx: Tx, case_ids: Sequence[int]) -> dict[int, list[SlaClock]]:
    """The clocks that nobody has stopped yet, by case."""
    running: dict[int, list[SlaClock]] = {}
    for (case_id, _), clock in tickets.clocks(tx, case_ids).items():
        if clock.met_at is None:
            running.setdefault(case_id, []).append(clock)
    return running


def show_tickets(found: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Print what `read_tickets` returned."""
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("No open tickets.")
        return
    print_table(
        ["ticket", "case", "severity", "state", "agent", "due", "sla", "about"],
        [
            [
                str(row["id"]),
                row["case"],
                row["severity"],
                row["state"],
                row["agent"] or "-",
                moment(row["due_at"], row["opened_at"].tzinfo),
                row["sla"] or "-",
                row["summary"].partition("\n")[0].partition(" · ")[2],
            ]
            for row in found
        ],
    )


def write_tickets(found: Sequence[dict[str, Any]], file: Path) -> None:
    """What `read_tickets` returned as CSV, each field a column; to standard output when the file is `-`."""
    columns = (
        "id",
        "case",
        "journey",
        "state",
        "severity",
        "agent",
        "opened_at",
        "next_target",
        "due_at",
        "sla",
    )
    target = None if str(file) == "-" else file
    rows = [[*(row[name] for name in columns), row["summary"]] for row in found]
    write_csv(target, ["ticket", *columns[1:], "summary"], rows)
    if target is not None:
        typer.echo(f"{target}: {len(rows):,} ticket{'' if len(rows) == 1 else 's'}")


def take_ticket(store: Store, ticket_id: int, agent: str) -> str:
    """Take it; returns what to tell. Raises TicketProblem or Trouble when it cannot be taken."""
    with store.begin() as tx:
        before = _ticket(tx, ticket_id, agent)
        tickets.take(tx, ticket_id, agent, datetime.now(UTC))
        after = _ticket(tx, ticket_id, agent)
    if after.assignee != agent:
        raise Trouble(f"ticket {ticket_id} was taken by {after.assignee} already; nothing is changed")
    again = " already" if before.state == after.state else ""
    return f"Ticket {ticket_id} (case AM{after.case_id:06d}) is {agent}'s{again}."


def solve_ticket(store: Store, ticket_id: int, agent: str, cause: str) -> str:
    """Solve it; returns what to tell. Raises TicketProblem or Trouble when it cannot be solved."""
    with store.begin() as tx:
        case_id = _ticket(tx, ticket_id, agent).case_id
        # The cause is read by all who see reports, so a phone number in it does not get in.
        tickets.solve(tx, ticket_id, agent, mask(cause), datetime.now(UTC))
    return (
        f"Ticket {ticket_id} (case AM{case_id:06d}) is solved; the survey follows after the journey's delay."
    )


def _ticket(tx: Tx, ticket_id: int, agent: str) -> lookups.TicketFacts:
    facts = lookups.ticket(tx, ticket_id)
    if facts is None:
        raise TicketProblem(f"there is no ticket {ticket_id}; `amends ticket list` shows the open ones")
    journey = journeys.load(tx, facts.version_id)
    if journey.agent(agent) is None:
        names = ", ".join(known.name for known in journey.agents)
        raise Trouble(f"journey {journey.name} has no agent {agent!r}; its agents are {names}")
    return facts
