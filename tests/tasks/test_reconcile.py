"""The daily sweep finds what was lost and puts it back; frequent sweeps and closed cases are left alone."""

import asyncio
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from amends.domain.outcome import Outcome, OutcomeClass
from amends.store.audit import audit
from amends.store.engine import Store
from amends.store.schema import agenda, cases, effects, timeline
from amends.store.schema import sla_clocks as clocks
from connectors.ports import RatingAnswer
from connectors.zalo.account import ZaloAccount
from tasks import receive, tidy_up
from tasks.poll import FIRST_POLL, POLL_OVERLAP, poll_ratings
from tasks.reconcile import reconcile
from tasks.sweep import Sweep
from tests.domain.examples import HOUR, NINE, changed
from tests.tasks.rig import add_effect, answer, inbox_of, state_of, sweep_over
from tests.tasks.test_verify_rules import build, struck_off
from tests.tasks.town import Town, no_prefect

DAYS = timedelta(days=3)


@pytest.fixture(autouse=True)
def plain_functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Chunks without Prefect."""
    monkeypatch.setattr(receive, "_take_in_file", cast("Any", receive)._take_in_file.fn)
    monkeypatch.setattr(tidy_up, "_settle", cast("Any", tidy_up)._settle.fn)
    with no_prefect():
        yield


class Zalo:
    """What Zalo has: rating answers per template, and the fate of every message."""

    def __init__(self, **answers: list[RatingAnswer]) -> None:
        self.answers = {name.removeprefix("t"): rows for name, rows in answers.items()}
        self.windows: dict[str, tuple[datetime, datetime]] = {}
        self.states: dict[str, str] = {}
        self.asked: list[str] = []

    async def ratings(self, template_id: str, since: datetime, until: datetime) -> list[RatingAnswer]:
        self.windows[template_id] = since, until
        return [row for row in self.answers.get(template_id, []) if since <= row.submitted_at <= until]

    async def delivery(self, message_id: str) -> str:
        self.asked.append(message_id)
        return self.states.get(message_id, "not_found")


def violated(town: Town) -> list[str]:
    return [finding.rule.id for finding in audit(town.store, town.now()) if finding.violated]


def mended(town: Town) -> set[int]:
    """The cases whose timeline tells of a repair."""
    query = sa.select(timeline.c.case_id).where(timeline.c.event == "case.repaired")
    with town.store.read() as tx:
        return set(tx.execute(query).scalars())


def reconciled(town: Town, read_back: timedelta = DAYS) -> Sweep:
    sweep = sweep_over(town.store, town.home, clock=town.clock, journey=_no_files(), read_back=read_back)
    asyncio.run(reconcile(sweep))
    return sweep


NOTHING = {"missed ratings": 0, "repaired": 0}

LOST: dict[str, Any] = {
    "apology": (
        "new",
        lambda id_: [agenda.delete().where(agenda.c.case_id == id_, agenda.c.step == "acknowledge")],
    ),
    "ticket": ("new", lambda id_: [struck_off(id_, "open_ticket")]),
    "notification": (
        "doubtful",
        lambda id_: [agenda.delete().where(agenda.c.case_id == id_, agenda.c.step == "notify_agent")],
    ),
    "watch": (
        "reopened",
        lambda id_: [agenda.delete().where(agenda.c.case_id == id_, agenda.c.step == "watch_sla")],
    ),
    "clocks": ("reopened", lambda id_: [clocks.delete().where(clocks.c.case_id == id_, clocks.c.cycle == 1)]),
    "a clock that was met": (
        "doubtful",
        lambda id_: [clocks.delete().where(clocks.c.case_id == id_, clocks.c.kind == "first_response")],
    ),
    "survey": (
        "solved",
        lambda id_: [agenda.delete().where(agenda.c.case_id == id_, agenda.c.step == "survey")],
    ),
    "reward": (
        "waiting",
        lambda id_: [agenda.delete().where(agenda.c.case_id == id_, agenda.c.step == "reward")],
    ),
    "conclusion": (
        "waiting",
        lambda id_: [
            agenda.delete().where(agenda.c.case_id == id_, agenda.c.step.in_(["conclude", "reward"])),
            effects.delete().where(effects.c.case_id == id_, effects.c.step == "reward"),
            cases.update().where(cases.c.id == id_).values(outcome=None),
            "DELETE FROM vouchers WHERE state = 'reserved'",
            "UPDATE budgets SET spent_count = spent_count - 1, spent_vnd = spent_vnd - 50000",
        ],
    ),
    "due time": (
        "solved",
        lambda id_: [
            agenda.update().where(agenda.c.case_id == id_, agenda.c.step == "survey").values(due_at=None)
        ],
    ),
    "step of a dead sweep": ("dying", lambda id_: [struck_off(id_, "acknowledge")]),
}


def test_what_has_fallen_off_is_found_and_put_back(store: Store, tmp_path: Path) -> None:
    town = Town(store, tmp_path)
    people = build(town)
    clean = reconciled(town).tally("reconcile")
    assert (clean.cases, dict(clean.results), dict(clean.reasons)) == (6, NOTHING, {})
    for what, (name, sabotage) in LOST.items():
        case_id = getattr(people, name)
        with store.begin() as tx:
            for statement in sabotage(case_id):
                tx.execute(sa.text(statement) if isinstance(statement, str) else statement)
        assert violated(town), what
        assert reconciled(town, timedelta(0)).tallies == {}, what
        repaired = reconciled(town).tally("reconcile")
        assert repaired.results["repaired"] > 0, what
        assert violated(town) == [], what
        assert mended(town) == {case_id}, what
        with store.begin() as tx:
            tx.execute(timeline.delete().where(timeline.c.event == "case.repaired"))
    assert reconciled(town).tally("reconcile").results == NOTHING


def test_a_repaired_case_goes_on_and_nothing_is_sent_twice(store: Store, tmp_path: Path) -> None:
    town = Town(store, tmp_path)
    people = build(town)
    with store.begin() as tx:
        tx.execute(agenda.delete().where(agenda.c.case_id != people.happy))
    assert "case.forgotten" in violated(town)
    reconciled(town)
    before = len(town.vendors["zns"].book)
    for _ in range(3):
        town.sweep()
        town.clock.advance(5 * HOUR)
    assert violated(town) == []
    sent = [key for name in ("zns", "email") for key in town.vendors[name].book]
    assert len(sent) == len(set(sent)) > before


async def test_a_rating_that_webhook_and_polls_have_missed_is_brought_and_counted(
    store: Store, tmp_path: Path
) -> None:
    town = Town(store, tmp_path)
    late = answer("m-9", submitted_at=NINE - 24 * HOUR)
    zalo = Zalo(t320003=[])

    def daily(read_back: timedelta = DAYS) -> Any:
        return sweep_over(
            store, tmp_path, clock=town.clock, ratings=zalo, read_back=read_back, journey=_no_files()
        )

    await poll_ratings(daily(timedelta(0)))
    zalo.answers["320003"] = [late]
    town.clock.advance(HOUR)
    await poll_ratings(daily(timedelta(0)))
    with store.read() as tx:
        assert inbox_of(tx) == []
    sweep = daily()
    await reconcile(sweep)
    with store.read() as tx:
        assert inbox_of(tx) == [("after-purchase", "m-9")]
    assert sweep.tally("reconcile").results["missed ratings"] == 1
    assert dict(sweep.tally("reconcile").reasons) == {
        "after-purchase: ratings that nothing had brought before": 1
    }
    # It asks for the days before those that the regular poll asks for, and moves no cursor.
    assert zalo.windows["320003"] == (town.now() - DAYS, town.now() - POLL_OVERLAP)
    again = daily()
    await reconcile(again)
    assert again.tally("reconcile").results["missed ratings"] == 0


async def test_before_the_first_poll_there_is_nothing_to_read_back(store: Store, tmp_path: Path) -> None:
    zalo = Zalo()
    sweep = sweep_over(store, tmp_path, ratings=zalo, read_back=FIRST_POLL, journey=_no_files())
    await reconcile(sweep)
    assert zalo.windows == {}


def _no_files() -> Any:
    return changed(sources=[{"kind": "zns_rating", "name": "after-purchase", "template_id": "320003"}])


async def test_a_row_that_a_file_got_after_its_cursor_is_brought_and_counted(
    store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "reviews.csv"
    source = {"kind": "file", "name": "till", "path": str(tmp_path / "*.csv")}
    journey = changed(sources=[{**source, "columns": {"external_id": "id", "rating": "stars"}}])
    file.write_text("id,stars\nr1,5\nr2,5\n", encoding="utf-8")
    for round_, (content, missed) in enumerate(
        [("id,stars\nr1,5\nr2,5\n", 0), ("id,stars\nr1,5\nr3,1\n", 1), ("id,stars\nr1,5\nr3,1\n", 0)]
    ):
        stat = file.stat()
        file.write_text(content, encoding="utf-8")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        sweep = sweep_over(store, tmp_path, journey=journey, read_back=DAYS)
        await reconcile(sweep)
        assert sweep.tally("reconcile").results["missed ratings"] == missed, round_
        await receive.receive(sweep)
    with store.read() as tx:
        assert [id_ for _, id_ in inbox_of(tx)] == ["r1", "r2", "r3"]


async def test_every_doubt_is_asked_about_beyond_the_first_chunk(store: Store, tmp_path: Path) -> None:
    zalo = Zalo()
    with store.begin() as tx:
        made = [
            add_effect(tx, Outcome(OutcomeClass.UNCERTAIN, provider_id=f"m-{n}", detail="no answer"))[1]
            for n in range(5)
        ]
    zalo.states = {"m-4": "delivered"}
    for read_back, asked in ((timedelta(0), 2), (DAYS, 5)):
        sweep = sweep_over(
            store,
            tmp_path,
            zalo=cast("ZaloAccount", zalo),
            read_back=read_back,
            journey=_no_files(),
        )
        sweep.settings = sweep.settings.model_copy(update={"chunk_size": 2})
        zalo.asked.clear()
        await (reconcile(sweep) if read_back else tidy_up.tidy_up(sweep))
        assert len(zalo.asked) == asked
    with store.read() as tx:
        assert state_of(tx, made[4]) == ("accepted", "m-4")
        assert state_of(tx, made[0]) == ("uncertain", "m-0")
