"""`amends import`: reviews from files into the inbox."""

from pathlib import Path
from typing import Annotated

import typer


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="CSV, TSV, JSON or JSON Lines.")],
    journey: Annotated[
        Path | None,
        typer.Option(
            metavar="JOURNEY.yaml",
            help="The journey they are for; needless when deployments/journeys/ has one.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Which column holds what, as rating=n_star,text=comment; else guessed from the header."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Where they come from; else the file's name. The name of one of the journey's file sources "
            "brings that source's columns along."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Take reviews into the inbox; the next sweep judges them. What is in already is left as it is.

    Rows that cannot be used are kept in quarantine with the reason. A file that cannot be read at all makes the
    exit code 2; the other files are imported all the same.
    """
    from amends.domain.columns import parse_columns
    from amends.domain.journey import load_journey
    from cli.guard import Trouble
    from cli.installation import opened_store, prepare_prefect, read_settings
    from cli.shipped import only_journey

    loaded = load_journey(journey or only_journey())
    try:
        mapping = parse_columns(columns) if columns else None
    except ValueError as error:
        raise Trouble(f"--columns: {error}", 2) from None
    settings = read_settings()
    prepare_prefect(settings)
    with opened_store(settings) as store:
        from cli.importing import import_files, show

        imported = import_files(files, store, loaded, columns=mapping, source=source)
    show(imported, loaded, as_json=as_json)
    raise typer.Exit(2 if any(one.problem for one in imported) else 0)
