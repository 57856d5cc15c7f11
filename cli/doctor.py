"""`amends doctor`: is everything that this installation talks to in order?"""

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    journeys: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[JOURNEY.yaml]...", help="None: all of deployments/journeys/."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Examine every connector, without messaging anyone.

    Zalo: tokens and their life, the Official Account, each template the journeys use (approval, tag, parameters),
    quota, quality, webhooks. Then the mail server, the staff contacts, the database, the keys, webhooks that wait,
    and what is broken at present. Says what to fix, in words.

    Exit code 0: all is well, or worth a look at most. 1: something does not work. 2: a file or setting is unusable.
    """
    from amends.domain.journey import load_journey
    from cli.installation import opened_store, prepare_prefect, read_settings
    from cli.shipped import all_journeys

    loaded = [load_journey(file) for file in journeys or all_journeys()]
    settings = read_settings()
    prepare_prefect(settings, log_level="ERROR")
    with opened_store(settings) as store:
        from cli.examining import examine, show

        found = examine(loaded, settings, store)
    show(found, as_json=as_json)
    raise typer.Exit(1 if any(finding.state == "problem" for finding in found) else 0)
