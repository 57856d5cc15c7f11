"""`amends case` and `amends status`: one case in full, and all journeys at a glance."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def case(
    case_id: Annotated[str, typer.Argument(metavar="ID", help="42 or AM000042.")], as_json: AsJson = False
) -> None:
    """All that happened to one case.

    Ratings, ticket, deadlines, messages and the whole timeline, in the brand's time; personal data masked.
    """
    from cli.case_view import read_case, show_case
    from cli.guard import Trouble
    from cli.installation import opened_store, read_settings
    from cli.words import case_number

    number = case_number(case_id)
    with opened_store(read_settings()) as store:
        found = read_case(store, number)
    if found is None:
        raise Trouble(f"there is no case AM{number:06d}; `amends ticket list` shows the open ones")
    show_case(found, as_json=as_json)


def status(as_json: AsJson = False) -> None:
    """Figures, and what waits for a person.

    Of each journey: the funnel, the service levels, what is due now, quarantine and uncertain messages.
    """
    from cli.installation import opened_store, read_settings
    from cli.status_view import read_status, show_status

    with opened_store(read_settings()) as store:
        found = read_status(store)
    show_status(found, as_json=as_json)
