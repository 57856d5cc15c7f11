"""`amends verify`: the auditor of our own books."""

from typing import Annotated

import typer


def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", "--no-prefect", help="Only read the database; record no run at Prefect."),
    ] = False,
) -> None:
    """Do our own books agree with each other?

    Every feedback, case, ticket, effect and voucher is held against the rules of docs/verify.md, as of one moment,
    while sweeps go on. Changes nothing. Prints each violation with its case and what to do. Exit code 0: clean.
    1: something is violated. `amends serve` does it every hour.
    """
    from cli.installation import opened_store, prepare_prefect, read_settings

    settings = read_settings()
    if not offline:
        prepare_prefect(settings)
    with opened_store(settings) as store:
        from cli.verifying import show, verify_now

        findings = verify_now(settings, store, offline=offline)
        show(findings, as_json=as_json)
    raise typer.Exit(1 if any(finding.violated for finding in findings) else 0)
