"""How `amends check` answers."""

from collections.abc import Sequence
from pathlib import Path

import typer

from amends.domain.journey import ComplaintJourney, version_of
from cli.checks import Finding
from cli.show import print_json


def show(
    file: Path,
    journey: ComplaintJourney,
    found: Sequence[Finding],
    notes: Sequence[Finding],
    *,
    as_json: bool,
) -> None:
    """The journey's name and version, then what would not work, then what is worth a look."""
    version = version_of(journey)
    if as_json:
        listed, noted = ([_told(one) for one in ones] for ones in (found, notes))
        print_json(
            {
                "file": str(file),
                "journey": journey.name,
                "version": version,
                "ok": not found,
                "findings": listed,
                "notes": noted,
            }
        )
        return
    typer.echo(
        f"{file}: journey {journey.name} of {journey.brand}, version {version}, hours in {journey.timezone}"
    )
    if journey.paused:
        typer.echo("It is paused: ratings are taken in, nothing is sent.")
    for finding in found:
        typer.echo(f"- {finding.field}: {finding.problem}.\n  Fix: {finding.fix}.")
    for note in notes:
        typer.echo(f"- note, {note.field}: {note.problem}.\n  Fix: {note.fix}.")
    if not found:
        typer.echo(f"Ready. Next: amends run {file}")


def _told(finding: Finding) -> dict[str, str]:
    return {"field": finding.field, "problem": finding.problem, "fix": finding.fix}


def unusable(file: Path, problems: Sequence[str]) -> None:
    """The answer in JSON for a file that cannot be used."""
    print_json({"file": str(file), "ok": False, "problems": list(problems)})
