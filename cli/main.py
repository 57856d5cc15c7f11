"""The `amends` command. Nothing heavy is imported before a command runs, so that `--help` answers at once."""

from typing import Annotated

import typer

from amends.garbage import collect_seldom
from cli.backup import backup, restore
from cli.cases import case, status
from cli.desk import desk as ticket
from cli.doctor import doctor
from cli.guard import GuardedGroup
from cli.intake import import_
from cli.journeys import check, run
from cli.keys import key
from cli.ledger import ledger
from cli.play import demo
from cli.privacy import export, forget, optout
from cli.quarantine import quarantine
from cli.servers import sandbox, serve
from cli.verify import verify
from cli.webhooks import desk
from cli.zalo import zalo

ABOUT = """Amends turns bad ratings into kept customers: a low rating becomes a case, the case an apology and a
ticket with a deadline, the solved ticket a survey, and the survey a voucher. Prefect runs it.

\b
Three commands to try first:
  amends demo                                           two weeks of a made-up shop in about a minute
  amends check deployments/journeys/complaint.yaml      is this journey ready to run here?
  amends serve                                          Prefect's server and the schedules

\b
Then, day by day:
  amends status             figures, deadlines, and what waits for a person
  amends case AM000042      all that happened to one customer's case
  amends verify             do our own books agree with each other?
  amends ticket list        the agents' desk
  amends ledger list        what was sent, and settling what nobody knows the fate of
  amends quarantine list    rows that could not be used, to be corrected or dropped

Settings are environment variables AMENDS_... or lines of a .env file in the working directory.
The documentation is in docs/, an annotated journey is deployments/journeys/complaint.yaml.
"""

collect_seldom()

app = typer.Typer(
    cls=GuardedGroup,
    help=ABOUT,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    # A traceback with local variables would show phone numbers and secrets.
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(check)
app.command()(doctor)
app.command()(run)
app.command("import")(import_)
app.command()(serve)
app.command()(desk)
app.command()(sandbox)
app.command()(status)
app.command()(case)
app.command()(optout)
app.command()(forget)
app.command()(export)
app.command()(verify)
app.command()(backup)
app.command()(restore)
app.add_typer(zalo, name="zalo")
app.add_typer(ticket, name="ticket")
app.add_typer(key, name="key")
app.add_typer(ledger, name="ledger")
app.add_typer(quarantine, name="quarantine")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"amends {version('amends')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    # No docstring: the help text of the app stands above.
    pass


if __name__ == "__main__":
    app()
