"""Access: everything that we hold about one person, in clear, for the person who asks for it."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from amends.domain.mentions import Named
from amends.store import journeys
from amends.store.engine import Tx
from amends.store.people import Person
from amends.store.schema import (
    agenda,
    cases,
    customers,
    effects,
    feedbacks,
    journey_versions,
    operator_log,
    quarantine,
    sla_clocks,
    surveys,
    tickets,
    timeline,
    vouchers,
    webhook_events,
    zalo_users,
)

_PAGE = 500
Row = dict[str, Any]

_OURS = frozenset(
    ("id", "case_id", "customer_id", "version_id", "lease_owner", "lease_until", "owner", "fingerprint")
)
"""Columns that say how we work, and nothing about anybody."""
_NAMES: Mapping[str, str] = {
    "key": "known to us by",
    "email": "mail",
    "zalo_uid": "Zalo user id",
    "uid": "Zalo user id",
    "raw": "as received",
    "text": "words",
    "order_ref": "order",
    "value_vnd": "value in VND",
    "cost_vnd": "cost in VND",
    "provider_id": "message id at the vendor",
    "at": "when",
}


def everything_about(tx: Tx, person: Person) -> dict[str, list[Row]]:
    """All rows of the person under readable headings; times are aware UTC."""
    people, named = person.customer_ids, person.named()
    theirs = sa.or_(
        feedbacks.c.customer_id.in_(people), feedbacks.c.case_id.in_(person.case_ids)
    )  # their own, and their answers to surveys
    deeds = [f"customer {id_}" for id_ in people]
    return {
        "who you are to us": _read(tx, customers, customers.c.id.in_(people)),
        "your Zalo accounts": _read(tx, zalo_users, zalo_users.c.customer_id.in_(people)),
        "your ratings and messages": _read(tx, feedbacks, theirs, case=True),
        "your cases": [_case(tx, case_id) for case_id in person.case_ids],
        "rows of yours that could not be used": _naming(tx, quarantine, named),
        "messages from vendors about you": _naming(tx, webhook_events, named),
        "what our operators did about you": _read(tx, operator_log, operator_log.c.subject.in_(deeds)),
    }


def zone_of(tx: Tx, person: Person) -> ZoneInfo:
    """The brand's zone: that of the newest journey version a case of theirs is on, else of any; UTC without one."""
    of_theirs = sa.select(cases.c.version_id).where(cases.c.id.in_(person.case_ids))
    newest = sa.select(sa.func.max(journey_versions.c.id))
    version_id = (
        tx.execute(newest.where(journey_versions.c.id.in_(of_theirs))).scalar() or tx.execute(newest).scalar()
    )
    return journeys.load(tx, version_id).zone if version_id else ZoneInfo("UTC")


def _case(tx: Tx, case_id: int) -> Row:
    [about] = _read(tx, cases, cases.c.id == case_id)
    parts = (
        ("ticket", tickets),
        ("deadlines", sla_clocks),
        ("surveys", surveys),
        ("messages and notifications", effects),
        ("voucher", vouchers),
        ("what is planned", agenda),
        ("what happened", timeline),
    )
    found = {name: _read(tx, table, table.c.case_id == case_id) for name, table in parts}
    return {"case": f"AM{case_id:06d}", **about, **found}


def _read(tx: Tx, table: sa.Table, where: sa.ColumnElement[bool], *, case: bool = False) -> list[Row]:
    rows = tx.execute(sa.select(table).where(where).order_by(table.c.id)).mappings()
    return [_readable(row, case=case) for row in rows]


def _readable(row: Mapping[Any, Any], *, case: bool = False) -> Row:
    found = {
        _NAMES.get(name, str(name).replace("_", " ")): value
        for name, value in row.items()
        if name not in _OURS and value is not None
    }
    if case and row["case_id"]:
        found["case"] = f"AM{row['case_id']:06d}"
    return found


def _naming(tx: Tx, table: sa.Table, named: Named) -> list[Row]:
    """The rows that name the person: all are read, as a contact may stand anywhere in them."""
    found: list[Row] = []
    last = 0
    page: sa.Select[Any] = sa.select(table).order_by(table.c.id).limit(_PAGE)
    while rows := tx.execute(page.where(table.c.id > last)).mappings().all():
        found += [_readable(row) for row in rows if _names(row, named)]
        last = rows[-1]["id"]
    return found


def _names(row: Mapping[Any, Any], named: Named) -> bool:
    parts: Sequence[Any] = [row.get(part) for part in ("raw", "problems", "payload")]
    return named.in_value(parts) or named.in_key(row.get("key") or "")
