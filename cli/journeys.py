"""`amends check` and `amends run`: is a journey ready to run here, and one sweep of it now."""

from pathlib import Path
from typing import Annotated

import typer

JourneyFile = Annotated[Path, typer.Argument(metavar="JOURNEY.yaml", help="The journey's file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def check(
    journey: JourneyFile,
    as_json: AsJson = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask Zalo about the templates.")] = False,
) -> None:
    """Is a journey ready to run here? If not, why, and the fix.

    Looks at the file, the settings, and what Zalo says of its templates: approval, tag, and parameters with names,
    types and lengths. Messages nobody. Exit code 0: ready. 1: something would not work. 2: the file cannot be used.
    """
    from amends.discretion import scrub
    from amends.domain.journey import JourneyProblem, load_journey
    from cli.checks import Finding, findings
    from cli.installation import read_settings
    from cli.readiness import show, unusable

    try:
        loaded = load_journey(journey)
    except JourneyProblem as problem:
        if not as_json:
            raise
        unusable(journey, [scrub(text) for text in problem.problems])
        raise typer.Exit(2) from None
    settings = read_settings()
    found, asked = findings(loaded, settings), []
    if not offline and not any(finding.about_zalo for finding in found):
        from cli.installation import opened_store

        with opened_store(settings) as store:
            from cli.examining import examine_templates

            asked = examine_templates(loaded, settings, store)
    found += [Finding(one.what, one.told, one.fix) for one in asked if one.state == "problem"]
    notes = [Finding(one.what, one.told, one.fix) for one in asked if one.state == "warning"]
    show(journey, loaded, found, notes, as_json=as_json)
    raise typer.Exit(1 if found else 0)


def run(
    journey: JourneyFile,
    read_back_days: Annotated[
        float, typer.Option(min=0, max=90, help="Read ratings back at least this many days.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """One sweep of a journey, now.

    Every case that is due moves one step on. It runs on the Prefect server of PREFECT_API_URL, else on that of a
    running `amends serve`, else on one that is started for this run.
    """
    from amends.domain.journey import load_journey
    from cli.installation import opened_store, prepare_prefect, read_settings

    loaded = load_journey(journey)
    settings = read_settings()
    prepare_prefect(settings)
    with opened_store(settings) as store:
        from cli.sweeping import show, sweep_once

        swept = sweep_once(loaded, settings, store, read_back_days)
        show(loaded, swept, as_json=as_json)
