"""Vouchers and their budget: money is reserved in the transaction that decides to spend it (DESIGN 4.10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from amends.domain.journey.aftercare import GeneratedCodes, Reward
from amends.domain.voucher_codes import generated_code
from amends.store.engine import Tx
from amends.store.for_rows import if_new, insert_of
from amends.store.in_list import in_list
from amends.store.schema import budgets, vouchers
from amends.store.sql import execute_many, locked, rendered, upsert
from amends.store.types import UtcDateTime


@dataclass(frozen=True, slots=True)
class Voucher:
    """A code reserved for one case. `value_vnd` in VND, `expires_at` aware UTC."""

    code: str
    value_vnd: int
    expires_at: datetime


def add_to_pool(tx: Tx, journey: str, codes: Sequence[str]) -> int:
    """Put codes into the journey's pool; known ones are left alone. Returns how many were new."""
    return _TO_POOL.count(tx, [(journey, code, "free") for code in codes])


_TO_POOL = insert_of(vouchers, "journey", "code", "state", ending=if_new)


def reserve(
    tx: Tx, journey: str, reward: Reward, case_ids: Sequence[int], now: datetime
) -> dict[int, Voucher | str]:
    """The voucher of each case: the one it has, or a new one as far as budget and pool go, first come, first served.

    A string says why there is none.
    """
    found: dict[int, Voucher | str] = {}
    for held in tx.execute(rendered(tx, _HELD), {"b_cases": case_ids}):
        cancelled = held.state == "cancelled"
        voucher = Voucher(held.code, held.value_vnd, held.expires_at)
        found[held.case_id] = "the voucher of this case was cancelled" if cancelled else voucher
    new = [case_id for case_id in dict.fromkeys(case_ids) if case_id not in found]
    within_budget = new[: _spend(tx, journey, reward, reward.value_vnd, len(new))]
    given = _give(tx, journey, reward, within_budget, now)
    if without := len(within_budget) - len(given):
        _give_back(tx, journey, reward.value_vnd * without, without)
    found |= dict.fromkeys(new, _used_up(reward))
    found |= dict.fromkeys(within_budget, "the pool of voucher codes is empty")
    return found | given


_HELD = sa.select(vouchers).where(in_list(vouchers.c.case_id, "b_cases"))


def _give(tx: Tx, journey: str, reward: Reward, case_ids: Sequence[int], now: datetime) -> dict[int, Voucher]:
    """New codes, or those of the pool as long as it has any."""
    value_vnd, expires_at = reward.value_vnd, now + timedelta(days=reward.valid_days)
    if isinstance(reward.codes, GeneratedCodes):
        codes = [generated_code(reward.codes.prefix) for _ in case_ids]
        terms = {"b_journey": journey, "b_value_vnd": value_vnd, "b_now": now, "b_expires_at": expires_at}
        _RESERVE.execute(tx, list(zip(case_ids, codes, strict=True)), **terms)
    else:
        free = (
            sa.select(vouchers.c.id, vouchers.c.code)
            .where(vouchers.c.journey == journey, vouchers.c.state == "free")
            .order_by(vouchers.c.id)
            .limit(len(case_ids))
        )
        taken = tx.execute(locked(tx, free, skip=True)).all()
        codes = [row.code for row in taken]
        held = {"value_vnd": value_vnd, "state": "reserved", "reserved_at": now, "expires_at": expires_at}
        statement = (
            vouchers.update()
            .where(vouchers.c.id == sa.bindparam("b_id"))
            .values(case_id=sa.bindparam("b_case_id"), **held)
        )
        pairs = zip(taken, case_ids, strict=False)
        execute_many(tx, statement, [{"b_id": row.id, "b_case_id": case_id} for row, case_id in pairs])
    return {
        case_id: Voucher(code, value_vnd, expires_at) for case_id, code in zip(case_ids, codes, strict=False)
    }


_RESERVE = insert_of(
    vouchers,
    "case_id",
    "code",
    journey=sa.bindparam("b_journey", type_=sa.String),
    value_vnd=sa.bindparam("b_value_vnd", type_=sa.Integer),
    state=sa.literal("reserved"),
    reserved_at=sa.bindparam("b_now", type_=UtcDateTime),
    expires_at=sa.bindparam("b_expires_at", type_=UtcDateTime),
)


def reinstate(tx: Tx, journey: str, reward: Reward, case_id: int, now: datetime) -> str | bool:
    """Reserve the case's cancelled voucher again, with the code and value it had and a new last day.

    True when it did, False when the case has no cancelled voucher; a string says why the budget forbids it.
    """
    cancelled = _of([case_id], "cancelled")
    row = tx.execute(locked(tx, sa.select(vouchers).where(cancelled))).one_or_none()
    if row is None:
        return False
    if not _spend(tx, journey, reward, row.value_vnd, 1):
        return _used_up(reward)
    expires_at = now + timedelta(days=reward.valid_days)
    tx.execute(
        vouchers.update().where(cancelled).values(state="reserved", reserved_at=now, expires_at=expires_at)
    )
    return True


def _spend(tx: Tx, journey: str, reward: Reward, value_vnd: int, wanted: int) -> int:
    """Take up to so many vouchers of this value out of the budget; returns how many it had left for."""
    if not wanted:
        return 0
    spent = tx.execute(rendered(tx, _SPENT), {"b_journey": journey}).one_or_none()
    if spent is None:  # the journey's first voucher
        begun = upsert(tx, budgets).values(journey=journey, spent_count=0, spent_vnd=0)
        tx.execute(begun.on_conflict_do_nothing())
        spent = tx.execute(rendered(tx, _SPENT), {"b_journey": journey}).one()
    for_so_many = (reward.budget.vnd - int(spent.spent_vnd)) // value_vnd
    taken = max(0, min(wanted, reward.budget.count - int(spent.spent_count), for_so_many))
    if taken:
        _give_back(tx, journey, -taken * value_vnd, -taken)
    return taken


_SPENT = sa.select(budgets).where(budgets.c.journey == sa.bindparam("b_journey")).with_for_update()


def _used_up(reward: Reward) -> str:
    return f"the budget of {reward.budget.count} vouchers or {reward.budget.vnd:,} VND is used up"


def issued(tx: Tx, case_ids: Sequence[int]) -> None:
    """These customers have the code (or may have it): it is spent."""
    if case_ids:
        tx.execute(rendered(tx, _ISSUE), {"b_cases": case_ids})


_ISSUE = (
    vouchers.update()
    .where(in_list(vouchers.c.case_id, "b_cases"), vouchers.c.state == "reserved")
    .values(state="issued")
)


def cancel(tx: Tx, case_ids: Sequence[int]) -> None:
    """These customers surely never got the code: the money goes back to the budget.

    The code itself is retired, not reused: it has been shown to a vendor.
    """
    _cancel(tx, case_ids, "reserved")


def take_back(tx: Tx, case_ids: Sequence[int]) -> int:
    """The same of vouchers that counted as given, because their message may have arrived and now surely has not.

    Returns how many there were.
    """
    return _cancel(tx, case_ids, "reserved", "issued")


def _cancel(tx: Tx, case_ids: Sequence[int], *states: str) -> int:
    if not case_ids:
        return 0
    statement = vouchers.update().where(_of(case_ids, *states)).values(state="cancelled")
    rows = tx.execute(statement.returning(vouchers.c.journey, vouchers.c.value_vnd)).all()
    for journey in sorted({row.journey for row in rows}):
        values = [row.value_vnd for row in rows if row.journey == journey]
        _give_back(tx, journey, sum(values), len(values))
    return len(rows)


def given_after_all(tx: Tx, case_id: int) -> None:
    """The customer has the code of a cancelled voucher, as it turns out: it is spent, even beyond the budget."""
    statement = vouchers.update().where(_of([case_id], "cancelled")).values(state="issued")
    row = tx.execute(statement.returning(vouchers.c.journey, vouchers.c.value_vnd)).one_or_none()
    if row is not None:
        _give_back(tx, row.journey, -row.value_vnd, -1)


def _of(case_ids: Sequence[int], *states: str) -> sa.ColumnElement[bool]:
    return sa.and_(vouchers.c.case_id.in_(case_ids), vouchers.c.state.in_(states))


def _give_back(tx: Tx, journey: str, vnd: int, count: int) -> None:
    tx.execute(rendered(tx, _GIVE_BACK), {"b_journey": journey, "b_count": count, "b_vnd": vnd})


_GIVE_BACK = (
    budgets.update()
    .where(budgets.c.journey == sa.bindparam("b_journey"))
    .values(
        spent_count=budgets.c.spent_count - sa.bindparam("b_count"),
        spent_vnd=budgets.c.spent_vnd - sa.bindparam("b_vnd"),
    )
)
