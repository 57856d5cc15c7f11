"""The inbox: feedback is committed here before anything else happens to it (DESIGN 4.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from amends.domain.contacts import normalise_email, normalise_phone
from amends.domain.feedback import Feedback, Rejected
from amends.domain.ratings import Scale
from amends.store import zalo_users
from amends.store.engine import Tx
from amends.store.for_rows import ForRows, Packed, fill_in, if_new, insert_from, insert_of
from amends.store.in_list import in_list
from amends.store.schema import customers, feedbacks, quarantine
from amends.store.sealed import keyring_of
from amends.store.sql import locked, rendered, upsert
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


@dataclass(frozen=True, slots=True)
class Ready:
    """A batch made ready to be stored: what takes the processor's time is done, and needed no transaction."""

    batch: Sequence[Feedback]
    ids: Sequence[str]
    people: Packed
    feedbacks: Packed
    zalo_uids: Sequence[str]


def ready(dialect: Dialect, batch: Sequence[Feedback]) -> Ready:
    """Raises KeyProblem when there are no keys to seal it with."""
    keys = [customer_key(feedback) for feedback in batch]
    people = _people(keys, batch)
    keyring = keyring_of(dialect).keys
    hashed = {key: keyring.hash(key) for key in people}
    rows = [
        (
            hashed[key],
            feedback.source,
            feedback.external_id,
            feedback.occurred_at,
            feedback.scale.value,
            feedback.rating,
            feedback.text,
            feedback.order_ref,
            feedback.branch,
            feedback.product,
            dict(feedback.raw),
        )
        for key, feedback in zip(keys, batch, strict=True)
    ]
    return Ready(
        batch,
        [feedback.external_id for feedback in batch],
        # Sorted, so that two imports that share customers lock them in the same order.
        _TELL.pack(dialect, sorted((hashed[key], *person) for key, person in people.items())),
        _RECEIVE.pack(dialect, rows),
        [uid for person in people.values() if (uid := person[_ZALO_UID])],
    )


_OF_A_PERSON = ("name", "phone", "email", "zalo_uid", "language")
_ZALO_UID = _OF_A_PERSON.index("zalo_uid")
# Whoever comes anew is no longer forgotten; an opt-out stands.
_TELL = fill_in(
    customers, "key", *_OF_A_PERSON, "reference", key="key", gaps=_OF_A_PERSON, cleared=["forgotten_at"]
)
Told = list[str | None]
"""What a batch tells of a person: `_OF_A_PERSON`, and their reference."""


def _people(keys: Sequence[str], batch: Sequence[Feedback]) -> dict[str, Told]:
    """Whom the batch tells of, by `customer_key`; what comes first counts."""
    people: dict[str, Told] = {}
    for key, feedback in zip(keys, batch, strict=True):
        told: Told = [
            feedback.customer_name or None,
            feedback.phone or None,
            feedback.email or None,
            feedback.zalo_uid or None,
            feedback.language or None,
            None if feedback.phone or feedback.email else _reference(feedback),
        ]
        known = people.get(key)
        people[key] = told if known is None else [old or new for old, new in zip(known, told, strict=True)]
    return people


def receive(tx: Tx, journey: str, batch: Sequence[Feedback] | Ready, now: datetime) -> int:
    """Store `batch`; what was received before is left as it is. Returns how many were new."""
    made = batch if isinstance(batch, Ready) else ready(tx.dialect, batch)
    if not made.batch:
        return 0
    if forgotten := _forgotten(tx, made):
        kept = [one for one in made.batch if (one.source, one.external_id) not in forgotten]
        made = ready(tx.dialect, kept)
    _TELL.execute(tx, made.people)
    if made.zalo_uids:
        zalo_users.link_imported(tx, made.zalo_uids)
    return _RECEIVE.count(tx, made.feedbacks, b_journey=journey, b_now=now)


_OF_A_FEEDBACK = (
    "source",
    "external_id",
    "occurred_at",
    "scale",
    "rating",
    "text",
    "order_ref",
    "branch",
    "product",
    "raw",
)
_JOURNEY = sa.bindparam("b_journey", type_=sa.String)
_NOW = sa.bindparam("b_now", type_=UtcDateTime)


def _received(tx: Tx, fresh: sa.FromClause) -> sa.Executable:
    whose = sa.select(customers.c.id).where(customers.c.key == fresh.c.key).scalar_subquery()
    told = [fresh.c[name] for name in _OF_A_FEEDBACK]
    columns = [*_OF_A_FEEDBACK, "customer_id", "journey", "received_at"]
    return if_new(insert_from(tx, feedbacks, columns, sa.select(*told, whose, _JOURNEY, _NOW)))  # type: ignore[no-any-return]


_RECEIVE = ForRows([customers.c.key, *(feedbacks.c[name] for name in _OF_A_FEEDBACK)], _received)


def _forgotten(tx: Tx, made: Ready) -> set[tuple[str, str]]:
    """What we hold without its person: the same file again must not bring their contact back."""
    sources = sorted({feedback.source for feedback in made.batch})
    asked = {"sources": sources, "ids": made.ids}
    return {(source, id_) for source, id_ in tx.execute(rendered(tx, _WHOSE_PERSON_IS_FORGOTTEN), asked)}


# No join: it might begin with all whom we have ever forgotten.
_WHOSE_PERSON_IS_FORGOTTEN = sa.select(feedbacks.c.source, feedbacks.c.external_id).where(
    in_list(feedbacks.c.source, "sources"),
    in_list(feedbacks.c.external_id, "ids"),
    sa.select(customers.c.forgotten_at)
    .where(customers.c.id == feedbacks.c.customer_id)
    .scalar_subquery()
    .is_not(None),
)


def attach(
    tx: Tx, journey: str, message: Feedback, customer_id: int, case_id: int, verdict: str, now: datetime
) -> None:
    """Store a message of a known customer as part of a case, judged already; the same message again changes nothing."""
    row = (
        journey,
        message.source,
        message.external_id,
        customer_id,
        now,
        message.occurred_at,
        message.scale.value,
        message.text,
        dict(message.raw),
        verdict,
        "a message in an open case",
        case_id,
        now,
    )
    _ATTACH.execute(tx, [row])


_ATTACH = insert_of(
    feedbacks,
    "journey",
    "source",
    "external_id",
    "customer_id",
    "received_at",
    "occurred_at",
    "scale",
    "text",
    "raw",
    "verdict",
    "reason",
    "case_id",
    "routed_at",
    ending=if_new,
)


def known(tx: Tx, external_ids: Sequence[str], sources: Sequence[str]) -> set[str]:
    """Which of these ids the sources have brought already."""
    asked = {"sources": sources, "ids": external_ids}
    return set(tx.execute(rendered(tx, _KNOWN), asked).scalars())


_KNOWN = sa.select(feedbacks.c.external_id).where(
    in_list(feedbacks.c.source, "sources"), in_list(feedbacks.c.external_id, "ids")
)


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


def reject(tx: Tx, journey: str, batch: Sequence[Rejected], now: datetime) -> int:
    """Keep bad input with its reasons; the same bad row again is the same entry. Returns how many were new."""
    rows = [
        (
            bad.source,
            bad.fingerprint,
            bad.location[:500],
            [{"field": p.field, "problem": p.problem, "fix": p.fix} for p in bad.problems],
            dict(bad.raw),
        )
        for bad in batch
    ]
    return _REJECT.count(tx, rows, b_journey=journey, b_now=now)


_REJECT = insert_of(
    quarantine,
    "source",
    "fingerprint",
    "location",
    "problems",
    "raw",
    ending=if_new,
    journey=_JOURNEY,
    received_at=_NOW,
)


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
