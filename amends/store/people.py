"""One person may be several customers: who hangs together, as far as phone, mail and Zalo user id can tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from amends.domain.contacts import mask_phone, normalise_email, normalise_phone
from amends.domain.mentions import Named
from amends.store import inbox, timeline
from amends.store.engine import Tx
from amends.store.operator_log import Deed, record
from amends.store.schema import cases, customers, feedbacks, zalo_users

_PAGE = 1_000


class SeveralPeople(ValueError):
    """A mail address that several phone numbers were given with; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of one person. No customers and only the contact that was asked for: a stranger to us."""

    customer_ids: tuple[int, ...]
    case_ids: tuple[int, ...]
    phones: frozenset[str] = field(repr=False)
    mails: frozenset[str] = field(repr=False)
    uids: frozenset[str] = field(repr=False)

    def named(self) -> Named:
        """What recognises them in rows and webhooks."""
        return Named(self.phones, self.mails, self.uids)


def find(tx: Tx, contact: str) -> Person:
    """Everything of whom this phone or mail belongs to.

    These customers are one person: the one with that phone, or all with that mail; the one known only by a mail that
    was given with the phone; those with the same Zalo user id; and the nameless ones that stand for their answers to
    surveys. Looking for a mail reads all customers. Raises ValueError, which quotes nothing, when it is neither
    phone nor mail, and SeveralPeople for a mail that was given with more than one phone: perhaps a family's.
    """
    return _person(tx, contact, alone=True)


def opt_out(tx: Tx, contact: str, deed: Deed) -> tuple[Sequence[int], int]:
    """Never message this person again; a stranger is noted by key alone, so that a later import respects it.

    Returns all their customer ids, and for how many of them it is new. Raises ValueError as `find` does, but takes a
    mail that several people share for all of them.
    """
    person = _person(tx, contact, alone=False)
    for known in {*(f"+{phone}" for phone in person.phones), *person.mails}:
        inbox.customer_with(tx, known)  # each contact, because a later file may bring it alone
    ids = _person(tx, contact, alone=False).customer_ids
    return ids, _set_opt_out(tx, ids, deed, deed.at, "customer.opted_out")


def opt_in(tx: Tx, contact: str, deed: Deed) -> tuple[Sequence[int], int]:
    """Take an opt-out back; messages that it has suppressed are not made up for. Returns the same."""
    ids = _person(tx, contact, alone=False).customer_ids
    return ids, _set_opt_out(tx, ids, deed, None, "customer.opted_in")


def _set_opt_out(tx: Tx, ids: Sequence[int], deed: Deed, at: datetime | None, event: str) -> int:
    differs = customers.c.opted_out_at.is_(None) if at else customers.c.opted_out_at.is_not(None)
    statement = customers.update().where(customers.c.id.in_(ids), differs).values(opted_out_at=at)
    changed = sorted(tx.execute(statement.returning(customers.c.id)).scalars())
    for customer_id in changed:
        record(tx, replace(deed, subject=f"customer {customer_id}"))
    open_cases = sa.select(cases.c.id).where(cases.c.customer_id.in_(changed), cases.c.closed_at.is_(None))
    lines = [timeline.line_by(deed, id_, event) for id_ in sorted(tx.execute(open_cases).scalars())]
    timeline.append(tx, lines)
    return len(changed)


def _person(tx: Tx, contact: str, *, alone: bool) -> Person:
    by_mail = "@" in contact
    asked = normalise_email(contact) if by_mail else normalise_phone(contact)
    ids = {inbox.find_customer(tx, contact)} - {None}
    if by_mail:
        ids |= _with_mail(tx, asked)
    rows = _rows(tx, ids)
    phones = {row.phone for row in rows if row.phone}
    if alone and by_mail and len(phones) > 1:
        told = ", ".join(sorted(mask_phone(phone) for phone in phones))
        raise SeveralPeople(
            f"this mail address was given with {len(phones)} phone numbers ({told}): perhaps those of several people. "
            "Name the person by phone number"
        )
    ids |= {inbox.find_customer(tx, row.email) for row in rows if row.email and not by_mail} - {None}
    ids |= _with_same_zalo_user(tx, ids)
    rows = _rows(tx, ids)
    case_ids = sorted(tx.execute(sa.select(cases.c.id).where(cases.c.customer_id.in_(ids))).scalars())
    answers = sa.select(feedbacks.c.customer_id).where(feedbacks.c.case_id.in_(case_ids))
    uids = sa.select(zalo_users.c.uid).where(zalo_users.c.customer_id.in_(ids))
    return Person(
        tuple(sorted({row.id for row in rows} | set(tx.execute(answers).scalars()))),
        tuple(case_ids),
        frozenset({row.phone for row in rows if row.phone} | (set() if by_mail else {asked})),
        frozenset({row.email for row in rows if row.email} | ({asked} if by_mail else set())),
        frozenset({row.zalo_uid for row in rows if row.zalo_uid} | set(tx.execute(uids).scalars())),
    )


def _rows(tx: Tx, ids: Iterable[int | None]) -> Sequence[Any]:
    columns = (customers.c.id, customers.c.phone, customers.c.email, customers.c.zalo_uid)
    return tx.execute(sa.select(*columns).where(customers.c.id.in_([id_ for id_ in ids if id_]))).all()


def _with_mail(tx: Tx, mail: str) -> set[int | None]:
    """Who gave this mail beside a phone: read from the rows, as it is no part of their key, nor compared in SQL."""
    found: set[int | None] = set()
    last = 0
    page = sa.select(customers.c.id, customers.c.email).order_by(customers.c.id).limit(_PAGE)
    while rows := tx.execute(page.where(customers.c.id > last)).all():
        found |= {row.id for row in rows if row.email == mail}
        last = rows[-1].id
    return found


def _with_same_zalo_user(tx: Tx, ids: Iterable[int | None]) -> set[int | None]:
    known = [id_ for id_ in ids if id_]
    imported = sa.select(customers.c.zalo_uid).where(
        customers.c.id.in_(known), customers.c.zalo_uid.is_not(None)
    )
    chatting = sa.select(zalo_users.c.uid).where(zalo_users.c.customer_id.in_(known))
    uids = sorted({*tx.execute(imported).scalars(), *tx.execute(chatting).scalars()})
    same = sa.select(customers.c.id).where(customers.c.zalo_uid.in_(uids))
    linked = sa.select(zalo_users.c.customer_id).where(
        zalo_users.c.uid.in_(uids), zalo_users.c.customer_id.is_not(None)
    )
    return {*tx.execute(same).scalars(), *tx.execute(linked).scalars()}
