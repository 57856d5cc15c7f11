"""`amends ticket`: the agents' work from the command line."""

from pathlib import Path
from typing import Annotated

import typer

desk = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The agents' desk: list, take and solve tickets."
)

TicketId = Annotated[int, typer.Argument(metavar="ID", min=1, help="The ticket's number.")]
AgentName = Annotated[str, typer.Option(metavar="NAME", help="The agent, as the journey names them.")]


@desk.command("list")
def list_(
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="Only this agent's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write them to a file for a spreadsheet; - is standard output."),
    ] = None,
) -> None:
    """Tickets not solved yet, oldest first, with deadlines in the brand's time."""
    from cli.desk_work import read_tickets, show_tickets, write_tickets
    from cli.guard import Trouble
    from cli.installation import opened_store, read_settings

    if csv is not None and as_json:
        raise Trouble("--csv and --json are two answers; ask for one of them", 2)
    with opened_store(read_settings()) as store:
        found = read_tickets(store, agent, limit)
    if csv is None:
        show_tickets(found, as_json=as_json)
    else:
        write_tickets(found, csv)


@desk.command()
def take(ticket_id: TicketId, agent: AgentName) -> None:
    """Take a ticket: the first response."""
    from cli.desk_work import take_ticket
    from cli.installation import opened_store, read_settings

    with opened_store(read_settings()) as store:
        typer.echo(take_ticket(store, ticket_id, agent))


@desk.command()
def solve(
    ticket_id: TicketId,
    agent: AgentName,
    cause: Annotated[str, typer.Option(metavar="TEXT", help="The root cause, in a few words.")],
) -> None:
    """Solve a ticket and note its root cause.

    The survey follows after the journey's delay.
    """
    from cli.desk_work import solve_ticket
    from cli.installation import opened_store, read_settings

    with opened_store(read_settings()) as store:
        typer.echo(solve_ticket(store, ticket_id, agent, cause))
