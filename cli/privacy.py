"""`amends forget`, `amends export` and `amends optout`: what the data-protection law lets a customer ask for."""

from pathlib import Path
from typing import Annotated

import typer

Contact = Annotated[
    str,
    typer.Argument(
        metavar="PHONE|MAIL",
        help="The customer's phone or mail, in any spelling; - reads it from standard input, which keeps it out of "
        "the shell's history.",
    ),
]
By = Annotated[str, typer.Option(metavar="NAME", help="Who does it: the operators' log keeps it.")]
Why = Annotated[
    str,
    typer.Option(metavar="TEXT", help="Why, e.g. the number of the request; without the customer's name."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and do nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def forget(contact: Contact, by: By, why: Why = "", dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Remove a customer's personal data, and never message them again.

    \b
    Contact, name, words, original rows, Zalo ids and order numbers go, also out
    of quarantine and webhooks. Ratings, cases, deadlines, effects and vouchers
    stay without the person, so that figures stay true, the audit is kept, and
    importing an old file again does not bring the customer back.

    This cannot be undone. Run `amends export` first if they want a copy. Backups, Zalo and your own files are yours
    to clean: the output says what is left. More in docs/privacy.md.
    """
    from cli.installation import opened_store, read_settings
    from cli.privacy_work import forget_person, read_contact, show_forgotten

    settings = read_settings()
    with opened_store(settings) as store:
        found = forget_person(settings, store, read_contact(contact), by, why, dry_run=dry_run)
    show_forgotten(found, as_json=as_json)


def export(
    contact: Contact,
    by: By,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it there, readable by you alone; else to standard output."),
    ] = None,
    why: Why = "",
) -> None:
    """Everything held about one customer, as one JSON document, in clear.

    For the customer who asks for it. Times are the brand's. The operators' log notes that it was made.
    """
    from cli.installation import opened_store, read_settings
    from cli.privacy_work import export_person, hand_over, read_contact

    with opened_store(read_settings()) as store:
        document = export_person(store, read_contact(contact), by, why)
    hand_over(document, output)


def optout(
    contact: Contact,
    by: By,
    why: Why = "",
    undo: Annotated[bool, typer.Option("--undo", help="Messages are welcome again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send a customer no more messages.

    Tickets go on: an agent may still solve them. A customer we have never heard of is noted by phone or mail alone,
    so that a later import respects it.
    """
    from cli.installation import opened_store, read_settings
    from cli.privacy_work import opt_person_out, read_contact, show_opted_out

    with opened_store(read_settings()) as store:
        found = opt_person_out(store, read_contact(contact), by, why, undo=undo)
    show_opted_out(found, as_json=as_json)
