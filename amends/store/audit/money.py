"""Rules of the vouchers: what was given, what the codes say and what the budget says are one sum."""

from typing import Any

import sqlalchemy as sa

from amends.store.audit.rule import Rule, one_of, open_item
from amends.store.schema import agenda, budgets, cases, effects, vouchers

_SPENT = ("reserved", "issued")


def _voucher(*where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    columns = vouchers.c.id.label("row"), vouchers.c.case_id, vouchers.c.journey
    return sa.select(*columns).where(*where)


def _other_sum() -> sa.Select[Any]:
    counted = (
        sa.select(
            vouchers.c.journey,
            sa.func.count().label("count"),
            sa.func.sum(sa.func.coalesce(vouchers.c.value_vnd, 0)).label("vnd"),
        )
        .where(one_of(vouchers.c.state, *_SPENT))
        .group_by(vouchers.c.journey)
        .subquery()
    )
    names = sa.union(sa.select(counted.c.journey), sa.select(budgets.c.journey)).subquery()
    given = [sa.func.coalesce(counted.c[name], 0) for name in ("count", "vnd")]
    spent = [sa.func.coalesce(column, 0) for column in (budgets.c.spent_count, budgets.c.spent_vnd)]
    return (
        sa.select(names.c.journey.label("row"), sa.null().label("case_id"), names.c.journey)
        .outerjoin(counted, counted.c.journey == names.c.journey)
        .outerjoin(budgets, budgets.c.journey == names.c.journey)
        .where(sa.or_(*(have != ought for have, ought in zip(given, spent, strict=True))))
    )


def _odd_voucher() -> sa.Select[Any]:
    row = vouchers.c
    its_case = sa.exists().where(cases.c.id == row.case_id, cases.c.journey == row.journey)
    free = sa.and_(row.state == "free", row.case_id.is_(None))
    given = sa.and_(
        one_of(row.state, *_SPENT, "cancelled"),
        its_case,
        row.value_vnd.is_not(None),
        row.reserved_at.is_not(None),
        row.expires_at.is_not(None),
    )
    return _voucher(sa.not_(sa.or_(free, given)))


def _given_twice() -> sa.Select[Any]:
    first = sa.func.min(vouchers.c.id).label("row")
    case_id, journey = vouchers.c.case_id, vouchers.c.journey
    of_one_case = (
        sa.select(first, case_id, sa.func.min(journey).label("journey"))
        .where(case_id.is_not(None))
        .group_by(case_id)
        .having(sa.func.count() > 1)
    )
    same_code = (
        sa.select(first, sa.func.min(case_id).label("case_id"), journey)
        .group_by(journey, vouchers.c.code)
        .having(sa.func.count() > 1)
    )
    both = sa.union(of_one_case, same_code).subquery()
    return sa.select(both.c.row, both.c.case_id, both.c.journey)


def _issued_to_nobody() -> sa.Select[Any]:
    sent = sa.exists().where(
        effects.c.case_id == vouchers.c.case_id,
        effects.c.step == "reward",
        one_of(effects.c.state, "accepted", "uncertain"),
    )
    return _voucher(vouchers.c.state == "issued", sa.not_(sent))


def _on_its_way() -> sa.Exists:
    return open_item(vouchers.c.case_id, agenda.c.step == "reward")


def _sent_but_not_spent() -> sa.Select[Any]:
    """Between a proof that comes early and the sweep that acts on it, the voucher is reserved still."""
    paid = sa.exists().where(
        vouchers.c.case_id == effects.c.case_id,
        sa.or_(vouchers.c.state == "issued", sa.and_(vouchers.c.state == "reserved", _on_its_way())),
    )
    columns = effects.c.id.label("row"), effects.c.case_id, effects.c.journey
    return sa.select(*columns).where(
        effects.c.step == "reward",
        one_of(effects.c.state, "accepted", "uncertain"),
        sa.not_(paid),
        # What may have been given between a backup and its restore, no row knows.
        effects.c.code.is_distinct_from("restored"),
    )


def _reserved_for_ever() -> sa.Select[Any]:
    return _voucher(vouchers.c.state == "reserved", sa.not_(_on_its_way()))


MONEY = (
    Rule(
        "voucher.budget",
        "Vouchers reserved and issued, and the sum of their values, are what the journey's budget says is spent.",
        "Set spent_count and spent_vnd of the journey's row in budgets to what the vouchers add up to.",
        "budget of",
        _other_sum,
    ),
    Rule(
        "voucher.row",
        "A voucher is free in its pool, or belongs to a case of its journey with value, time and end.",
        "Look at it with `amends case ID`; rows changed by hand are put right by hand.",
        "voucher",
        _odd_voucher,
    ),
    Rule(
        "voucher.twice",
        "A case has one voucher at most, and no code is there twice.",
        "Cancel one of the two at the shop's till, then report it as a bug.",
        "voucher",
        _given_twice,
    ),
    Rule(
        "voucher.issued",
        "An issued voucher was sent, or may have been.",
        "Nobody has the code: an agent gives it to the customer, or sets it to cancelled and gives the budget back.",
        "voucher",
        _issued_to_nobody,
    ),
    Rule(
        "voucher.sent",
        "Of a reward that was sent, or may have been, the voucher is issued.",
        "The customer has a code that is not counted as spent: set the voucher to issued and add it to the budget.",
        "effect",
        _sent_but_not_spent,
    ),
    Rule(
        "voucher.reserved",
        "A voucher is reserved only while its reward is on the agenda.",
        "The daily sweep puts a lost step back: `amends run JOURNEY.yaml --read-back-days 3`.",
        "voucher",
        _reserved_for_ever,
    ),
)
