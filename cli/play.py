"""`amends demo`: the options only; the show itself is in `cli.demo`."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    reviews: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE ...", help="Files of reviews (csv, tsv, json, jsonl); none: the shipped sample."
        ),
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    days: Annotated[int, typer.Option(min=1, max=60, help="Days to play.")] = 14,
    seed: Annotated[int, typer.Option(help="The same seed plays the same show.")] = 7,
    database: Annotated[
        str | None, typer.Option(help="SQLAlchemy URL of an empty database; none: a new SQLite file.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Which column holds what, as rating=n_star,text=comment.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Two weeks of a made-up shop, in about a minute.

    The real flow plays against a sandbox on this machine; nothing leaves it.
    """
    from cli.demo.command import demo as play
    from cli.guard import Trouble

    try:
        code = play(
            [*(reviews or []), *(more or [])],
            days=days,
            seed=seed,
            database=database,
            columns=columns,
            as_json=as_json,
        )
    except ValueError as error:
        raise Trouble(str(error), 2) from None
    raise typer.Exit(code)
