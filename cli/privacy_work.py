"""What the privacy commands do: one transaction each, a line in the operators' log, and a clear account of it."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import typer

from amends.domain.contacts import mask_email, mask_phone, normalise_email, normalise_phone
from amends.encryption import cipher_of
from amends.settings import Settings
from amends.store import forgetting, holdings, people
from amends.store.engine import Store, Tx
from amends.store.forgetting import BeingMessaged
from amends.store.operator_log import Deed, record
from amends.store.people import Person, SeveralPeople
from amends.store.spool import Spool
from cli.guard import Trouble, warn
from cli.show import heading, print_json, print_table

PATIENCE_SECONDS = 5.0
"""How long to wait for the desk to move what waits in the spool."""
WHAT_GOES = {
    "customers": "contact, name, language and Zalo id removed",
    "zalo_users": "deleted",
    "feedbacks": "words, original row and order number removed",
    "surveys": "note removed",
    "tickets": "summary replaced",
    "cases": "order number removed",
    "effects": "messages that waited for another try cancelled",
    "quarantine": "content removed, entry dropped",
    "webhook_events": "deleted",
}
WHAT_STAYS = (
    "ratings, cases, deadlines, surveys' marks, effects and vouchers, without the person: figures, audit and budget "
    "stay true, and an old file brings nobody back",
    "the source's own id of each rating, and message ids of the vendor: they name a rating and a message",
    "what agents wrote as root cause, and what operators gave as reason",
    "backups: keep them no longer than 30 days, and forget again after restoring one",
    "files in the journey's inbox folders, and what Zalo, the mail server and your agents' chats keep: yours to clean",
)


def read_contact(argument: str) -> str:
    """The contact, from standard input for `-`. Raises Trouble, which does not quote it, when it is none."""
    contact = (sys.stdin.readline() if argument == "-" else argument).strip()
    try:
        _normalised(contact)
    except ValueError as error:
        raise Trouble(f"PHONE|MAIL: {error}", 2) from None
    return contact


def _normalised(contact: str) -> str:
    return normalise_email(contact) if "@" in contact else normalise_phone(contact)


def _masked(contact: str) -> str:
    known = _normalised(contact)
    return mask_email(known) if "@" in known else mask_phone(known)


def _deed(by: str, action: str, why: str) -> Deed:
    if not by.strip():
        raise Trouble("--by: say who does it", 2)
    return Deed(datetime.now(UTC), by.strip(), action, "", why.strip())


def _find(tx: Tx, contact: str) -> Person:
    try:
        return people.find(tx, contact)
    except SeveralPeople as error:
        raise Trouble(str(error)) from None


def forget_person(
    settings: Settings, store: Store, contact: str, by: str, why: str, *, dry_run: bool
) -> dict[str, Any]:
    """Forget them; returns what to tell, without the person. Raises Trouble when it is not the moment for it."""
    deed = _deed(by, "forget", why)
    _wait_for_spool(settings, PATIENCE_SECONDS)
    with store.begin() as tx:
        person = _find(tx, contact)
        try:
            removed: Counter[str] = forgetting.forget(tx, person, deed)
        except BeingMessaged as error:
            raise Trouble(str(error)) from None
        if dry_run:
            tx.rollback()
    if not dry_run and not store.is_postgres:
        _empty_wal(store)
    return {
        "contact": _masked(contact),
        "dry_run": dry_run,
        "customers": list(person.customer_ids),
        "cases": [f"AM{case_id:06d}" for case_id in person.case_ids],
        "removed": {table: removed[table] for table in WHAT_GOES if removed[table]},
        "left": list(WHAT_STAYS),
    }


def _wait_for_spool(settings: Settings, seconds: float) -> None:
    """A webhook on its way may be theirs, and would be taken in just after. Sweeps and desk empty the spool."""
    if not settings.spool_file().exists():
        return
    spool = Spool(settings.spool_file(), cipher_of(settings))
    try:
        ends = time.monotonic() + seconds
        while (waiting := spool.waiting()) and time.monotonic() < ends:
            time.sleep(0.05)
    finally:
        spool.close()
    if waiting:
        raise Trouble(
            f"{waiting} webhooks wait to be taken into the database, perhaps this person's; nothing is changed. "
            "Let the desk or a sweep (amends run) take them in, then try again"
        )


def _empty_wal(store: Store) -> None:
    """The log of a SQLite file holds pages as they were; other processes may keep it open, and then it stays."""
    connection = store.engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def show_forgotten(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what `forget_person` returned."""
    if as_json:
        print_json(found)
        return
    if not found["removed"]:
        typer.echo(f"Nothing is held about {found['contact']}.")
        return
    would = "would be " if found["dry_run"] else "has been "
    who = ", ".join(f"customer {id_}" for id_ in found["customers"]) or "no customer"
    typer.echo(f"{found['contact']} {would}forgotten: {who}; cases {', '.join(found['cases']) or 'none'}")
    heading("What goes")
    print_table(
        ["table", "rows", "what"],
        [[table, count, WHAT_GOES[table]] for table, count in found["removed"].items()],
    )
    heading("What stays")
    for line in found["left"]:
        typer.echo(f"- {line}")
    typer.echo()
    typer.echo("If a later file must not start a new case with messages to them: amends optout")


def export_person(store: Store, contact: str, by: str, why: str) -> dict[str, Any]:
    """Everything held about them, times in the brand's zone. Raises Trouble when it would be several people's."""
    deed = _deed(by, "export", why)
    with store.begin() as tx:
        person = _find(tx, contact)
        for subject in [f"customer {id_}" for id_ in person.customer_ids] or ["no customer"]:
            record(tx, replace(deed, subject=subject))
        found = holdings.everything_about(tx, person)
        zone = holdings.zone_of(tx, person)
    return {
        "about": f"Everything that Amends holds about the person with the contact {_normalised(contact)}",
        "made at": deed.at.astimezone(zone),
        "times are of": zone.key,
        **{name: _localised(rows, zone) for name, rows in found.items()},
    }


def _localised(value: Any, zone: ZoneInfo) -> Any:
    match value:
        case datetime():
            return value.astimezone(zone)
        case dict():
            return {name: _localised(inner, zone) for name, inner in value.items()}
        case list():
            return [_localised(inner, zone) for inner in value]
    return value


def hand_over(document: Mapping[str, Any], output: Path | None) -> None:
    """Print the document, or write it to a file that only its owner can read."""
    warn("this is personal data: hand it to nobody but the person who asked, and delete it afterwards")
    if output is None:
        print_json(document)
        return
    try:
        # Readable by the owner from the first byte on, also when the file was there before.
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fchmod(handle, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False, indent=2, default=lambda value: value.isoformat())
            file.write("\n")
    except OSError as error:
        raise Trouble(f"--output {output}: {error.strerror}", 2) from None
    typer.echo(f"Written to {output}.")


def opt_person_out(store: Store, contact: str, by: str, why: str, *, undo: bool) -> dict[str, Any]:
    """Opt them out, or in again; returns what to tell."""
    deed = _deed(by, "opt in" if undo else "opt out", why)
    with store.begin() as tx:
        ids, changed = (people.opt_in if undo else people.opt_out)(tx, contact, deed)
    return {
        "contact": _masked(contact),
        "opted_out": not undo,
        "customers": list(ids),
        "changed": changed,
    }


def show_opted_out(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what `opt_person_out` returned."""
    if as_json:
        print_json(found)
        return
    state = "gets no more messages" if found["opted_out"] else "may get messages"
    who = ", ".join(f"customer {id_}" for id_ in found["customers"]) or "no customer of ours"
    already = "" if found["changed"] else "; nothing has changed"
    typer.echo(f"{found['contact']} {state} ({who}{already}).")
