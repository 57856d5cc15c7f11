"""Vouchers and their budget: money is reserved in the transaction that decides to spend it (DESIGN 4.10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from amends.domain.journey.aftercare import GeneratedCodes, Reward
from amends.domain.voucher_codes import generated_code
from amends.store.bulk import insert_new
from amends.store.engine import Tx
from amends.store.schema import budgets, vouchers
from amends.store.sql import locked, upsert


@dataclass(frozen=True, slots=True)
class Voucher:
    """A code reserved for one case. `value_vnd` in VND, `expires_at` aware UTC."""

    code: str
    value_vnd: int
    expires_at: datetime


def add_to_pool(tx: Tx, journey: str, codes: Sequence[str]) -> int:
    """Put codes into the journey's pool; known ones are left alone. Returns how many were new."""
    rows = [{"journey": journey, "code": code, "state": "free"} for code in codes]
    return insert_new(tx, vouchers, rows)


def reserve(tx: Tx, journey: str, reward: Reward, case_id: int, now: datetime) -> Voucher | str:
    """The case's voucher: the one it has, or a new one within the budget. A string says why there is none."""
    held = tx.execute(sa.select(vouchers).where(vouchers.c.case_id == case_id)).one_or_none()
    if held is not None and held.state == "cancelled":
        return "the voucher of this case was cancelled"
    if held is not None:
        return Voucher(held.code, held.value_vnd, held.expires_at)
    if (used_up := _spend(tx, journey, reward, reward.value_vnd)) is not None:
        return used_up
    expires_at = now + timedelta(days=reward.valid_days)
    issued = {
        "case_id": case_id,
        "value_vnd": reward.value_vnd,
        "state": "reserved",
        "reserved_at": now,
        "expires_at": expires_at,
    }
    if isinstance(reward.codes, GeneratedCodes):
        code = generated_code(reward.codes.prefix)
        tx.execute(vouchers.insert().values(journey=journey, code=code, **issued))
        return Voucher(code, reward.value_vnd, expires_at)
    free = (
        sa.select(vouchers.c.id, vouchers.c.code)
        .where(vouchers.c.journey == journey, vouchers.c.state == "free")
        .order_by(vouchers.c.id)
        .limit(1)
    )
    row = tx.execute(locked(tx, free, skip=True)).one_or_none()
    if row is None:
        _give_back(tx, journey, reward.value_vnd)
        return "the pool of voucher codes is empty"
    tx.execute(vouchers.update().where(vouchers.c.id == row.id).values(**issued))
    return Voucher(row.code, reward.value_vnd, expires_at)


def reinstate(tx: Tx, journey: str, reward: Reward, case_id: int, now: datetime) -> str | bool:
    """Reserve the case's cancelled voucher again, with the code and value it had and a new last day.

    True when it did, False when the case has no cancelled voucher; a string says why the budget forbids it.
    """
    cancelled = _of(case_id, "cancelled")
    row = tx.execute(locked(tx, sa.select(vouchers).where(cancelled))).one_or_none()
    if row is None:
        return False
    if (used_up := _spend(tx, journey, reward, row.value_vnd)) is not None:
        return used_up
    expires_at = now + timedelta(days=reward.valid_days)
    tx.execute(
        vouchers.update().where(cancelled).values(state="reserved", reserved_at=now, expires_at=expires_at)
    )
    return True


def _spend(tx: Tx, journey: str, reward: Reward, value_vnd: int) -> str | None:
    """Take one voucher of this value out of the budget; a string says that it is used up."""
    tx.execute(
        upsert(tx, budgets).values(journey=journey, spent_count=0, spent_vnd=0).on_conflict_do_nothing()
    )
    spend = (
        budgets.update()
        .where(
            budgets.c.journey == journey,
            budgets.c.spent_count + 1 <= reward.budget.count,
            budgets.c.spent_vnd + value_vnd <= reward.budget.vnd,
        )
        .values(spent_count=budgets.c.spent_count + 1, spent_vnd=budgets.c.spent_vnd + value_vnd)
    )
    if tx.execute(spend).rowcount == 0:
        return f"the budget of {reward.budget.count} vouchers or {reward.budget.vnd:,} VND is used up"
    return None


def issued(tx: Tx, case_id: int) -> None:
    """The customer has the code (or may have it): it is spent."""
    tx.execute(vouchers.update().where(_of(case_id, "reserved")).values(state="issued"))


def cancel(tx: Tx, case_id: int) -> None:
    """The customer surely never got the code: the money goes back to the budget.

    The code itself is retired, not reused: it has been shown to a vendor.
    """
    _cancel(tx, _of(case_id, "reserved"))


def take_back(tx: Tx, case_id: int) -> bool:
    """The same of a voucher that counted as given, because its message may have arrived and now surely has not."""
    return _cancel(tx, _of(case_id, "reserved", "issued"))


def _cancel(tx: Tx, which: sa.ColumnElement[bool]) -> bool:
    statement = vouchers.update().where(which).values(state="cancelled")
    row = tx.execute(statement.returning(vouchers.c.journey, vouchers.c.value_vnd)).one_or_none()
    if row is not None:
        _give_back(tx, row.journey, row.value_vnd)
    return row is not None


def given_after_all(tx: Tx, case_id: int) -> None:
    """The customer has the code of a cancelled voucher, as it turns out: it is spent, even beyond the budget."""
    statement = vouchers.update().where(_of(case_id, "cancelled")).values(state="issued")
    row = tx.execute(statement.returning(vouchers.c.journey, vouchers.c.value_vnd)).one_or_none()
    if row is not None:
        _give_back(tx, row.journey, row.value_vnd, times=-1)


def _of(case_id: int, *states: str) -> sa.ColumnElement[bool]:
    return sa.and_(vouchers.c.case_id == case_id, vouchers.c.state.in_(states))


def _give_back(tx: Tx, journey: str, value_vnd: int, times: int = 1) -> None:
    count, vnd = budgets.c.spent_count - times, budgets.c.spent_vnd - times * value_vnd
    tx.execute(budgets.update().where(budgets.c.journey == journey).values(spent_count=count, spent_vnd=vnd))
