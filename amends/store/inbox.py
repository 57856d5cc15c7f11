"""The inbox: feedback is committed here before anything else happens to it (DESIGN 4.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from amends.domain.contacts import normalise_email, normalise_phone
from amends.domain.feedback import Feedback, Rejected
from amends.domain.ratings import Scale
from amends.store import zalo_users
from amends.store.bulk import among, fill_in, insert_new
from amends.store.engine import Tx
from amends.store.for_rows import ForRows
from amends.store.schema import customers, feedbacks, quarantine
from amends.store.sealed import keyring_of
from amends.store.sql import locked, upsert
from amends.store.types import UtcDateTime


def customer_key(feedback: Feedback) -> str:
    """Whose rating it is: phone, else mail, else the source's own id of the person, else nobody else's."""
    return _contact_key(feedback.phone, feedback.email) or _reference(feedback)


def _contact_key(phone: str | None, email: str | None) -> str | None:
    if phone:
        return f"tel:{phone}"
    return f"mail:{email}" if email else None


def _reference(feedback: Feedback) -> str:
    if feedback.customer_ref:
        return f"{feedback.source}:{feedback.customer_ref}"
    return f"{feedback.source}#{feedback.external_id}"


def hashed_key(tx: Tx, key: str) -> str:
    """What `customers.key` holds of a `customer_key`: only with the installation's index key can it be tried out."""
    return keyring_of(tx.dialect).hash(key)


def find_customer(tx: Tx, contact: str) -> int | None:
    """The customer known by that phone number, in any usual spelling, or by that mail address; None: nobody is.

    A customer with a phone number is known by that alone, and not found by the mail address. Raises ValueError, which
    never quotes the contact, for what is neither.
    """
    return tx.execute(
        sa.select(customers.c.id).where(customers.c.key == hashed_contact(tx, contact))
    ).scalar()


def customer_with(tx: Tx, contact: str) -> int:
    """The same, made now for a stranger: with a key and nothing else. Raises `ValueError` when it is neither."""
    key = hashed_contact(tx, contact)
    tx.execute(upsert(tx, customers).values(key=key).on_conflict_do_nothing())
    return int(tx.execute(sa.select(customers.c.id).where(customers.c.key == key)).scalar_one())


def hashed_contact(tx: Tx, contact: str) -> str:
    """The key of the customer with that phone or mail, in any spelling. Raises ValueError, which quotes neither."""
    is_mail = "@" in contact
    return hashed_key(
        tx, f"mail:{normalise_email(contact)}" if is_mail else f"tel:{normalise_phone(contact)}"
    )


def receive(tx: Tx, journey: str, batch: Sequence[Feedback], now: datetime) -> int:
    """Store `batch`; what was received before is left as it is. Returns how many were new."""
    if not batch:
        return 0
    batch = _without_forgotten(tx, batch)
    if not batch:
        return 0
    people = _customer_ids(tx, batch)
    rows = [
        {
            "journey": journey,
            "source": feedback.source,
            "external_id": feedback.external_id,
            "customer_id": people[customer_key(feedback)],
            "received_at": now,
            "occurred_at": feedback.occurred_at,
            "scale": feedback.scale.value,
            "rating": feedback.rating,
            "text": feedback.text,
            "order_ref": feedback.order_ref,
            "branch": feedback.branch,
            "product": feedback.product,
            "raw": dict(feedback.raw),
        }
        for feedback in batch
    ]
    return insert_new(tx, feedbacks, rows)


def _without_forgotten(tx: Tx, batch: Sequence[Feedback]) -> Sequence[Feedback]:
    """Leave out what we hold without its person: the same file again must not bring their contact back."""
    query = (
        sa.select(feedbacks.c.source, feedbacks.c.external_id)
        .join(customers, customers.c.id == feedbacks.c.customer_id)
        .where(
            feedbacks.c.source.in_(sorted({feedback.source for feedback in batch})),
            among(tx, feedbacks.c.external_id, [feedback.external_id for feedback in batch]),
            customers.c.forgotten_at.is_not(None),
        )
    )
    forgotten = {(row.source, row.external_id) for row in tx.execute(query)}
    return [feedback for feedback in batch if (feedback.source, feedback.external_id) not in forgotten]


def attach(
    tx: Tx, journey: str, message: Feedback, customer_id: int, case_id: int, verdict: str, now: datetime
) -> None:
    """Store a message of a known customer as part of a case, judged already; the same message again changes nothing."""
    row = {
        "journey": journey,
        "source": message.source,
        "external_id": message.external_id,
        "customer_id": customer_id,
        "received_at": now,
        "occurred_at": message.occurred_at,
        "scale": message.scale.value,
        "text": message.text,
        "raw": dict(message.raw),
        "verdict": verdict,
        "reason": "a message in an open case",
        "case_id": case_id,
        "routed_at": now,
    }
    insert_new(tx, feedbacks, [row])


def known(tx: Tx, external_ids: Sequence[str], sources: Sequence[str]) -> set[str]:
    """Which of these ids the sources have brought already."""
    query = sa.select(feedbacks.c.external_id).where(
        feedbacks.c.source.in_(sources), feedbacks.c.external_id.in_(external_ids)
    )
    return set(tx.execute(query).scalars())


def customer_by_phone(tx: Tx, phone: str, name: str | None, zalo_uid: str) -> int:
    """The customer with that phone (E.164 without plus), made now if we have none; what we lacked is filled in."""
    key = hashed_key(tx, f"tel:{phone}")
    statement = upsert(tx, customers).values(key=key, phone=phone, name=name, zalo_uid=zalo_uid)
    tx.execute(
        statement.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "name": sa.func.coalesce(customers.c.name, statement.excluded.name),
                "zalo_uid": sa.func.coalesce(customers.c.zalo_uid, statement.excluded.zalo_uid),
                "forgotten_at": None,
            },
        )
    )
    return int(tx.execute(sa.select(customers.c.id).where(customers.c.key == key)).scalar_one())


def _customer_ids(tx: Tx, batch: Sequence[Feedback]) -> dict[str, int]:
    """The customers of the batch by `customer_key`, made or completed as far as it tells of them."""
    people: dict[str, dict[str, Any]] = {}
    for feedback in batch:
        person = people.setdefault(
            customer_key(feedback),
            {
                "name": None,
                "phone": None,
                "email": None,
                "zalo_uid": None,
                "language": None,
                "reference": None if feedback.phone or feedback.email else _reference(feedback),
            },
        )
        for column, value in (
            ("name", feedback.customer_name),
            ("phone", feedback.phone),
            ("email", feedback.email),
            ("zalo_uid", feedback.zalo_uid),
            ("language", feedback.language),
        ):
            person[column] = person[column] or value
    keys = {hashed_key(tx, key): key for key in people}
    known = _known_people(tx, list(keys))
    # Sorted, so that two imports that share customers lock them in the same order.
    told = [
        {"key": hashed, **people[key]}
        for hashed, key in sorted(keys.items())
        if _tells(people[key], known.get(hashed))
    ]
    # Whoever comes anew is no longer forgotten; an opt-out stands.
    fill_in(tx, customers, told, key="key", gaps=_OF_A_PERSON, cleared=["forgotten_at"])
    known |= _known_people(tx, [row["key"] for row in told if row["key"] not in known])
    ids = {key: known[hashed].id for hashed, key in keys.items()}
    if uids := [str(person["zalo_uid"]) for person in people.values() if person["zalo_uid"]]:
        zalo_users.link_imported(tx, uids)
    return ids


_OF_A_PERSON = ("name", "phone", "email", "zalo_uid", "language")


def _known_people(tx: Tx, keys: Sequence[str]) -> dict[str, Any]:
    """Id and gaps of the customers with these hashed keys."""
    if not keys:
        return {}
    gaps = (customers.c[name].is_(None).label(name) for name in _OF_A_PERSON)
    query = sa.select(customers.c.key, customers.c.id, *gaps).where(among(tx, customers.c.key, keys))
    return {row.key: row for row in tx.execute(query)}


def _tells(person: Mapping[str, Any], known: Any | None) -> bool:
    """Whether the batch tells anything of the person that we do not know."""
    return known is None or any(person[name] and getattr(known, name) for name in _OF_A_PERSON)


def reject(tx: Tx, journey: str, batch: Sequence[Rejected], now: datetime) -> int:
    """Keep bad input with its reasons; the same bad row again is the same entry. Returns how many were new."""
    rows = [
        {
            "journey": journey,
            "source": bad.source,
            "fingerprint": bad.fingerprint,
            "location": bad.location[:500],
            "problems": [{"field": p.field, "problem": p.problem, "fix": p.fix} for p in bad.problems],
            "raw": dict(bad.raw),
            "received_at": now,
        }
        for bad in batch
    ]
    return insert_new(tx, quarantine, rows)


@dataclass(frozen=True, slots=True)
class Unrouted:
    """A feedback that nobody has judged yet."""

    id: int
    source: str
    external_id: str
    customer_id: int
    occurred_at: datetime
    scale: Scale
    rating: float | None
    text: str
    order_ref: str | None
    branch: str | None
    product: str | None
    raw: dict[str, Any]


def has_unrouted(tx: Tx, journey: str) -> bool:
    query = sa.select(feedbacks.c.id).where(feedbacks.c.journey == journey, feedbacks.c.verdict.is_(None))
    return tx.execute(query.limit(1)).first() is not None


def take_unrouted(tx: Tx, journey: str, limit: int) -> list[Unrouted]:
    """The oldest feedback without a verdict, locked until this transaction ends; other sweeps skip it.

    The customers are locked too, in one order, so that two ratings of one person are never judged at once
    by two sweeps that do not see each other's new case.
    """
    query = (
        sa.select(feedbacks)
        .where(feedbacks.c.journey == journey, feedbacks.c.verdict.is_(None))
        .order_by(feedbacks.c.id)
        .limit(limit)
    )
    rows = tx.execute(locked(tx, query, skip=True)).all()
    if rows:
        people = sorted({row.customer_id for row in rows})
        tx.execute(
            locked(tx, sa.select(customers.c.id).where(customers.c.id.in_(people)).order_by(customers.c.id))
        ).all()
    return [
        Unrouted(
            row.id,
            row.source,
            row.external_id,
            row.customer_id,
            row.occurred_at,
            Scale(row.scale),
            row.rating,
            row.text,
            row.order_ref,
            row.branch,
            row.product,
            row.raw,
        )
        for row in rows
    ]


def empty(tx: Tx, feedback_ids: Sequence[int]) -> None:
    """Remove what people wrote; that it came, from where, its rating and its verdict stay."""
    tx.execute(feedbacks.update().where(feedbacks.c.id.in_(feedback_ids)).values(text="", raw={}))


@dataclass(frozen=True, slots=True)
class Route:
    feedback_id: int
    verdict: str
    reason: str
    case_id: int | None = None


def route(tx: Tx, routes: Sequence[Route], now: datetime) -> None:
    """Write the verdicts; each feedback gets exactly one, once."""
    _ROUTE.execute(tx, [(r.feedback_id, r.verdict, r.reason[:300], r.case_id) for r in routes], b_at=now)


_ROUTE = ForRows(
    [feedbacks.c.id, feedbacks.c.verdict, feedbacks.c.reason, feedbacks.c.case_id],
    lambda _tx, fresh: (
        feedbacks.update()
        .where(feedbacks.c.id == fresh.c.id, feedbacks.c.verdict.is_(None))
        .values(
            verdict=fresh.c.verdict,
            reason=fresh.c.reason,
            case_id=fresh.c.case_id,
            routed_at=sa.bindparam("b_at", type_=UtcDateTime),
        )
    ),
)
