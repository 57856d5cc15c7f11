"""`amends quarantine`: rows that could not become feedback, to be put right, tried again or dropped."""

from pathlib import Path
from typing import Annotated

import typer

quarantine = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Rows that could not be used: list them, put them right, try them again, or drop them.

\b
  amends quarantine list
  amends quarantine fix 4 --set rating=5 --by hoa
  amends quarantine requeue --all --source shopee --by hoa
  amends quarantine drop 7 8 --by hoa --why "test rows"

A row that is put right has the identity of the corrected row, so importing a corrected file too adds nothing, when
both say the same. Exit codes: 0 done, 1 refused, 2 a mistake in the words.
""",
)

Ids = Annotated[
    list[int],
    typer.Argument(metavar="ID...", min=1, max=10**18, help="Numbers of `amends quarantine list`."),
]
EntryId = Annotated[int, typer.Argument(metavar="ID", min=1, max=10**18, help="The entry's number.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; kept in the log.")]
Journey = Annotated[
    Path | None,
    typer.Option(
        "--journey",
        metavar="JOURNEY.yaml",
        help="The journey with the corrected columns; else as it was swept last, or stands in deployments/journeys/.",
    ),
]
ColumnsText = Annotated[
    str | None,
    typer.Option(
        "--columns",
        help="Which column holds what, as rating=n_star,text=comment; else as the journey says, or guessed.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would come of it, and change nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@quarantine.command("list")
def list_(
    journey: Annotated[str | None, typer.Option(metavar="NAME", help="Only this journey's.")] = None,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Only from this source.")] = None,
    state: Annotated[str, typer.Option(metavar="STATE", help="open, requeued, dropped, or all.")] = "open",
    after: Annotated[
        int | None,
        typer.Option(metavar="ID", min=1, max=10**18, help="Go on after this one, the last of a page."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What waits for a person, newest first: where each row stood and what is wrong with it."""
    from cli.installation import opened_store, prepare_prefect, read_settings

    settings = read_settings()
    prepare_prefect(settings)
    with opened_store(settings) as store:
        from cli.quarantine_view import read_entries, show_entries

        found = read_entries(store, journey=journey, source=source, state=state, after=after, limit=limit)
    show_entries(found, as_json=as_json)


@quarantine.command()
def show(
    entry_id: EntryId,
    unmasked: Annotated[
        bool, typer.Option("--unmasked", help="With names, phone numbers and mail addresses.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """One row with its problems, and what can be done with it. Masked unless asked otherwise."""
    from cli.installation import opened_store, prepare_prefect, read_settings

    settings = read_settings()
    prepare_prefect(settings)
    with opened_store(settings) as store:
        from cli.quarantine_view import read_entry, show_entry

        found = read_entry(store, entry_id, unmasked=unmasked)
    show_entry(found, as_json=as_json)


@quarantine.command()
def fix(
    entry_id: EntryId,
    cells: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="The new value of a column, by its name in the row or the field it is mapped to; may be repeated.",
        ),
    ],
    by: By,
    journey: Journey = None,
    columns: ColumnsText = None,
    dry_run: DryRun = False,
) -> None:
    """Put a row right and take it into the inbox; the next sweep judges it.

    A row that still cannot be used stays as it was, and its problems are told. Write a value as the source would:
    without an id of its own, a row is known by its content.
    """
    from cli.guard import Trouble
    from cli.installation import opened_store, prepare_prefect, read_settings
    from cli.words import who_and_why

    pairs = dict(cell.split("=", 1) for cell in cells if "=" in cell)
    if len(pairs) < len(cells):
        raise Trouble("--set: write each as FIELD=VALUE, once for each field", 2)
    by, _ = who_and_why(by, "put right")
    settings = read_settings()
    prepare_prefect(settings)
    with opened_store(settings) as store:
        from cli.quarantine_work import Reader, fix_entry

        reader = Reader(store, by, journey=journey, columns=columns, dry_run=dry_run)
        typer.echo(fix_entry(reader, entry_id, pairs))


@quarantine.command()
def requeue(
    by: By,
    entry_ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="[ID...]", min=1, max=10**18, help="Numbers of `amends quarantine list`."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every open one, or every one of --source.")] = False,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="With --all: from this source.")] = None,
    journey: Journey = None,
    columns: ColumnsText = None,
    dry_run: DryRun = False,
) -> None:
    """Try rows again as they are, for instance after their columns were corrected.

    What can be used by now goes into the inbox; the rest stays, and its problems are told. An unreadable file is read
    again by the next sweep.
    """
    from cli.guard import Trouble
    from cli.installation import opened_store, prepare_prefect, read_settings
    from cli.words import who_and_why

    if every == bool(entry_ids):
        raise Trouble("name entries, or say --all", 2)
    if source is not None and not every:
        raise Trouble("--source goes with --all", 2)
    by, _ = who_and_why(by, "requeued")
    settings = read_settings()
    prepare_prefect(settings)
    with opened_store(settings) as store:
        from cli.quarantine_work import Reader, requeue_all, requeue_entries

        reader = Reader(store, by, journey=journey, columns=columns, dry_run=dry_run)
        done = True
        if every:
            requeue_all(reader, source)
        else:
            done = requeue_entries(reader, entry_ids or [])
    raise typer.Exit(0 if done else 1)


@quarantine.command()
def drop(
    entry_ids: Ids,
    by: By,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why; kept in the log.")],
) -> None:
    """Say that rows are not wanted: they wait no longer. The same bad row again changes nothing."""
    from cli.installation import opened_store, prepare_prefect, read_settings
    from cli.words import who_and_why

    by, why = who_and_why(by, why)
    settings = read_settings()
    prepare_prefect(settings)
    with opened_store(settings) as store:
        from cli.quarantine_work import drop_entries

        done = drop_entries(store, entry_ids, by, why)
    raise typer.Exit(0 if done else 1)
