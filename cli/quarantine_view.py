"""Quarantine as people read it: a page of entries, and one with its row, masked unless they ask otherwise."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import typer

from amends.domain.contacts import mask
from amends.domain.journey import ComplaintJourney, load_journey
from amends.store import journeys, operator_log, quarantine
from amends.store.engine import Store, Tx
from amends.store.quarantine import EntryState, QuarantineEntry, QuarantineProblem
from cli.case_view import initials
from cli.guard import Trouble
from cli.shipped import all_journeys
from cli.show import heading, moment, print_json, print_table
from cli.words import one_of, zone_of
from tasks import quarantine as reading_again
from tasks.quarantine import Kind, kind_of

WHAT_CAN_BE_DONE = {
    Kind.ROW: "fix it, requeue it after its columns were corrected, or drop it",
    Kind.BROKEN_ROW: "correct it at its source and import it, then drop it; or fix it here",
    Kind.FILE: "correct the file and drop it into its folder again, then drop this; or correct the columns of its "
    "source in the journey and requeue it",
    Kind.WEBHOOK_ROW: "fix it, requeue it after its columns were corrected, or drop it and have it sent again under a "
    "new webhook-id",
    Kind.WEBHOOK: "correct the columns of its source in the journey and requeue it, or have it sent again under a new "
    "webhook-id and drop it",
    Kind.RATING: "fix rate or option, requeue it after an upgrade that knows the scale, or drop it",
}


def read_entries(
    store: Store, *, journey: str | None, source: str | None, state: str, after: int | None, limit: int
) -> dict[str, Any]:
    """A page of entries as plain data without the rows; `next_after` goes on where it ends, or is None."""
    now = datetime.now(UTC)
    wanted = one_of("--state", state, [*EntryState, "all"])
    with store.read() as tx:
        page = quarantine.list_entries(
            tx,
            limit=limit + 1,
            journey=journey,
            source=source,
            state=None if wanted == "all" else EntryState(wanted),
            after_id=after,
        )
        zones = {name: zone_of(tx, name, now) for name in {entry.journey for entry in page}}
    shown = page[:limit]
    return {
        "entries": [_plain(entry, zones[entry.journey]) for entry in shown],
        "next_after": shown[-1].id if len(page) > limit else None,
    }


def _plain(entry: QuarantineEntry, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "id": entry.id,
        "journey": entry.journey,
        "source": entry.source,
        "location": mask(entry.location),
        "kind": kind_of(entry).value,
        "problems": [mask(f"{p['field']}: {p['problem']} ({p['fix']})") for p in entry.problems],
        "received_at": entry.received_at.astimezone(zone),
        "state": entry.state.value,
        "settled_at": entry.settled_at and entry.settled_at.astimezone(zone),
        "settled_by": entry.settled_by,
        "note": mask(entry.note),
    }


def show_entries(found: dict[str, Any], *, as_json: bool) -> None:
    """Print what `read_entries` returned."""
    if as_json:
        print_json(found)
        return
    if not found["entries"]:
        typer.echo("Nothing there.")
        return
    rows = [
        [
            str(entry["id"]),
            moment(entry["received_at"], entry["received_at"].tzinfo),
            entry["source"],
            entry["location"],
            entry["state"],
            "; ".join(entry["problems"]),
        ]
        for entry in found["entries"]
    ]
    print_table(["id", "received", "source", "where", "state", "what is wrong"], rows)
    if found["next_after"] is not None:
        typer.echo(f"More: the same with --after {found['next_after']}")


def read_entry(store: Store, entry_id: int, *, unmasked: bool) -> dict[str, Any]:
    """One entry with its row as plain data. Raises Trouble when there is none."""
    now = datetime.now(UTC)
    with store.read() as tx:
        entry = _found(tx, entry_id)
        zone = zone_of(tx, entry.journey, now)
        journey = journey_of(tx, entry.journey)
        deeds = operator_log.of_subject(tx, f"quarantine {entry_id}")
    return {
        **_plain(entry, zone),
        "what_can_be_done": WHAT_CAN_BE_DONE[kind_of(entry)],
        "row": dict(entry.raw) if unmasked else _masked_row(entry, journey),
        "by_hand": [
            {"at": d.at.astimezone(zone), "actor": d.actor, "action": d.action, "detail": mask(d.detail)}
            for d in deeds
        ],
    }


_HIDDEN = ("phone", "email", "zalo_uid")


def _masked_row(entry: QuarantineEntry, journey: ComplaintJourney | None) -> dict[str, Any]:
    """The row without contacts, and names as initials, as far as we know which columns hold them."""
    columns = reading_again.columns_of(entry, entry.raw, journey) if journey else None
    names = columns.mapped() if columns else {}
    hidden = {names[field] for field in _HIDDEN if field in names}
    shown: dict[str, Any] = {}
    for name, value in entry.raw.items():
        if name in hidden and value:
            shown[name] = "***"
        elif name == names.get("customer_name") and isinstance(value, str):
            shown[name] = initials(value)
        else:
            shown[name] = _masked(value)
    return shown


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {name: _masked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    # A phone number in JSON may be a number.
    masked = mask(str(value))
    return value if masked == str(value) else masked


def show_entry(found: dict[str, Any], *, as_json: bool) -> None:
    """Print what `read_entry` returned."""
    if as_json:
        print_json(found)
        return
    zone = found["received_at"].tzinfo
    typer.secho(f"Entry {found['id']} · {found['kind']} · {found['location']} · {found['state']}", bold=True)
    typer.echo(f"Journey {found['journey']}, source {found['source']}, {moment(found['received_at'], zone)}")
    for problem in found["problems"]:
        typer.echo(f"  {problem}")
    if found["state"] == EntryState.OPEN:
        typer.echo(f"What can be done: {found['what_can_be_done']}")
    heading("Row")
    print_table(["column", "value"], [[name, str(value)] for name, value in found["row"].items()])
    if found["by_hand"]:
        heading("By hand")
        rows = [[moment(e["at"], zone), e["action"], e["actor"], e["detail"]] for e in found["by_hand"]]
        print_table(["when", "action", "by", "detail"], rows)


def _found(tx: Tx, entry_id: int) -> QuarantineEntry:
    try:
        return quarantine.entry(tx, entry_id)
    except QuarantineProblem as problem:
        raise Trouble(str(problem)) from None


def journey_of(tx: Tx, name: str) -> ComplaintJourney | None:
    """The journey as it was swept last, else as it stands in deployments/journeys/; None when it is in neither."""
    if versions := journeys.recent(tx, name, datetime.now(UTC), limit=1):
        return journeys.load(tx, versions[0])
    try:
        return next((j for j in map(load_journey, all_journeys()) if j.name == name), None)
    except Trouble:
        return None
