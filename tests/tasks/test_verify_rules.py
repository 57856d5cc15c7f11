"""Every rule of the audit fires when exactly that is broken, and keeps quiet in a town where everything is right."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from amends.domain.feedback import FieldProblem, Rejected
from amends.store import inbox, tickets, webhook_events
from amends.store.audit import EXAMPLES, PARTS, RULES, Books, Finding, audit
from amends.store.engine import Store
from amends.store.schema import (
    agenda,
    budgets,
    cases,
    customers,
    effects,
    feedbacks,
    quarantine,
    surveys,
    timeline,
    vouchers,
)
from amends.store.schema import sla_clocks as clocks
from amends.store.schema import tickets as desk
from amends.store.schema import webhook_events as events
from amends.store.webhook_events import Event, EventState, Fate
from tests.conftest import ROOT
from tests.domain.examples import HOUR, NINE
from tests.store.rows import ACCEPTED, BUSY, REFUSED, UNKNOWN, wipe
from tests.tasks.town import STEPS, Town, no_prefect

PEOPLE = ("happy", "reopened", "waiting", "doubtful", "solved", "dying", "new")
LONG_AGO = NINE - timedelta(days=9)
FAR_AHEAD = NINE + timedelta(days=99)


def build(town: Town) -> Any:
    """Seven cases, each in another place, and everything beside them that can come in; their ids by name."""
    for person in range(5):
        town.rate(person)
    town.rate(0, 2.0)
    town.rate(8, 5.0)
    town.rate(8, None)
    town.judge()
    town.run(STEPS["acknowledge"], [REFUSED, ACCEPTED, ACCEPTED, UNKNOWN, ACCEPTED])  # happy gets a mail
    town.run(STEPS["open tickets"])
    town.run(STEPS["notify agents"])
    town.rate(5)
    town.judge()
    town.run(STEPS["acknowledge"], [None])
    town.clock.advance(HOUR)
    people = ids(town)
    solve(town, people.happy, people.reopened, people.waiting)
    town.take()
    town.clock.advance(5 * HOUR)
    town.run(STEPS["survey"])
    for number, rate in enumerate((5, 1, 5)):
        town.answer(rate, number)
    town.judge()
    town.run(STEPS["survey"])
    town.run(STEPS["reward"], [ACCEPTED, BUSY])
    town.run(STEPS["close"])
    solve(town, people.solved)
    town.rate(6)
    town.judge()
    town.rate(7)
    with town.store.begin() as tx:
        wrong = FieldProblem("rating", "9 is no mark", "write 1 to 5")
        inbox.reject(tx, town.journey.name, [Rejected("till", "row 1", "f", (wrong,), {})], town.now())
        webhook_events.take_in(tx, [Event("zalo:default", "k", "user_feedback", NINE, NINE, {})])
        webhook_events.settle(tx, [Fate("zalo:default", "k", EventState.WAITING)])
    return ids(town)


def ids(town: Town) -> Any:
    query = sa.select(customers.c.phone, cases.c.id).join(cases, cases.c.customer_id == customers.c.id)
    with town.store.read() as tx:
        found = {row.phone: row.id for row in tx.execute(query)}
    return SimpleNamespace(**{name: found.get(f"8491234500{number}") for number, name in enumerate(PEOPLE)})


def solve(town: Town, *case_ids: int) -> None:
    with town.store.begin() as tx:
        for ticket in tickets.unsolved(tx):
            if ticket.case_id in case_ids:
                tickets.solve(tx, ticket.id, "lan", "giao hàng", town.now())


class Broken:
    """A town of which something is broken for the time of one test."""

    def __init__(self, store: Store, people: Any, now: datetime) -> None:
        self.store, self.people, self.now = store, people, now

    def fired(self, *statements: Any) -> dict[str, Finding]:
        with self.store.engine.connect() as tx:
            for statement in statements:
                tx.execute(sa.text(statement) if isinstance(statement, str) else statement)
            books = Books(tx, self.now)
            found = [finding for part in PARTS for finding in books.check(part)]
            tx.rollback()
        return {finding.rule.id: finding for finding in found if finding.count}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def town(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Broken:
    store: Store = request.getfixturevalue(f"kept_{request.param}")
    wipe(store)
    made = Town(store, tmp_path_factory.mktemp("home"))
    with no_prefect():
        people = build(made)
    return Broken(store, people, made.now())


def item(case_id: int, step: str, ordinal: int = 0) -> tuple[sa.ColumnElement[bool], ...]:
    return agenda.c.case_id == case_id, agenda.c.step == step, agenda.c.ordinal == ordinal


def effect(case_id: int, step: str, *where: sa.ColumnElement[bool]) -> tuple[sa.ColumnElement[bool], ...]:
    return effects.c.case_id == case_id, effects.c.step == step, *where


def struck_off(case_id: int, step: str) -> Any:
    """An item that somebody ticked off by hand."""
    return agenda.update().where(*item(case_id, step)).values(due_at=None, result="done")


def unbound(table: sa.Table) -> Sequence[str]:
    """Free a table of its constraints, as no table of ours is; within the transaction on both databases."""
    return (
        f"CREATE TABLE unbound AS SELECT * FROM {table.name}",  # noqa: S608 - our own names
        f"DROP TABLE {table.name}",
        f"ALTER TABLE unbound RENAME TO {table.name}",
    )


def second_voucher(case_id: int, **values: Any) -> Sequence[Any]:
    known = {"journey": "complaint", "code": "NANG-X", "case_id": case_id, "value_vnd": 50_000}
    times = {"reserved_at": NINE, "expires_at": FAR_AHEAD}
    return vouchers.insert().values(**{**known, **times, **values}), budgets.update().values(
        spent_count=budgets.c.spent_count + 1, spent_vnd=budgets.c.spent_vnd + 50_000
    )


NOT_TOLD = timeline.delete().where(timeline.c.event == "acknowledge.sent")

SABOTAGE: dict[str, Callable[[Any], Sequence[Any]]] = {
    "feedback.verdict": lambda _: [
        feedbacks.update().where(feedbacks.c.verdict == "suppressed").values(reason="")
    ],
    "feedback.waiting": lambda _: [
        feedbacks.update().where(feedbacks.c.verdict.is_(None)).values(received_at=LONG_AGO)
    ],
    "feedback.case": lambda who: [
        feedbacks.update().where(feedbacks.c.verdict == "above_threshold").values(case_id=who.new)
    ],
    "feedback.owner": lambda who: [
        feedbacks.update()
        .where(feedbacks.c.case_id == who.happy, feedbacks.c.rating == 2.0)
        .values(customer_id=sa.select(cases.c.customer_id).where(cases.c.id == who.new).scalar_subquery())
    ],
    "feedback.answer": lambda who: [
        surveys.update().where(surveys.c.case_id == who.happy).values(answered_at=None, satisfied=None)
    ],
    "case.rating": lambda who: [
        feedbacks.update().where(feedbacks.c.case_id == who.new).values(verdict="message")
    ],
    "quarantine.state": lambda _: [quarantine.update().values(state="dropped")],
    "webhook.acted": lambda _: [events.update().values(state="new")],
    "webhook.waiting": lambda _: [events.update().values(received_at=LONG_AGO)],
    "case.forgotten": lambda who: [struck_off(who.solved, "survey")],
    "case.place": lambda who: [
        agenda.update().where(*item(who.doubtful, "open_ticket")).values(due_at=FAR_AHEAD)
    ],
    "case.closed": lambda who: [cases.update().where(cases.c.id == who.happy).values(outcome=None)],
    "case.outcome": lambda who: [cases.update().where(cases.c.id == who.doubtful).values(outcome="silent")],
    "case.apology": lambda who: [agenda.delete().where(*item(who.solved, "acknowledge"))],
    "case.opened": lambda who: [
        timeline.delete().where(timeline.c.case_id == who.happy, timeline.c.event == "case.opened")
    ],
    "case.told": lambda _: [timeline.delete().where(timeline.c.event == "case.closed")],
    "agenda.item": lambda who: [agenda.update().where(*item(who.happy, "survey")).values(result=None)],
    "survey.row": lambda who: [surveys.update().where(surveys.c.case_id == who.happy).values(cycle=9)],
    "agenda.lease": lambda who: [
        agenda.update().where(*item(who.new, "acknowledge")).values(lease_owner="x", lease_until=FAR_AHEAD)
    ],
    "agenda.overdue": lambda who: [
        agenda.update().where(*item(who.new, "acknowledge")).values(due_at=LONG_AGO)
    ],
    "ticket.state": lambda who: [desk.update().where(desk.c.case_id == who.solved).values(root_cause="")],
    "ticket.clocks": lambda who: [
        clocks.delete().where(clocks.c.case_id == who.solved, clocks.c.kind == "resolution")
    ],
    "clock.ticket": lambda who: [
        clocks.update()
        .where(clocks.c.case_id == who.reopened, clocks.c.cycle == 0)
        .values(case_id=who.new, cycle=7),
        "UPDATE tickets SET cycle = 0 WHERE cycle = 1",
        clocks.update().where(clocks.c.case_id == who.reopened).values(cycle=0),
    ],
    "clock.times": lambda who: [
        clocks.update().where(clocks.c.case_id == who.solved).values(due_at=LONG_AGO)
    ],
    "clock.met": lambda who: [clocks.update().where(clocks.c.case_id == who.solved).values(met_at=None)],
    "clock.watched": lambda who: [
        agenda.delete().where(agenda.c.case_id == who.reopened, agenda.c.step == "watch_sla")
    ],
    "ticket.notified": lambda who: [agenda.delete().where(*item(who.doubtful, "notify_agent"))],
    "ticket.survey": lambda who: [agenda.update().where(*item(who.solved, "survey")).values(step="conclude")],
    "effect.kind": lambda who: [
        effects.update().where(*effect(who.happy, "notify_agent")).values(policy="at_most_once")
    ],
    "effect.settled": lambda who: [
        effects.update().where(*effect(who.happy, "survey")).values(settled_at=None)
    ],
    "effect.waiting": lambda who: [
        effects.update().where(*effect(who.waiting, "reward")).values(next_attempt_at=None)
    ],
    "effect.sending": lambda who: [struck_off(who.dying, "acknowledge")],
    "effect.uncertain": lambda _: [
        effects.update().where(effects.c.state == "uncertain").values(detail="", code=None)
    ],
    "effect.key": lambda who: [effects.update().where(*effect(who.happy, "survey")).values(key="x")],
    "effect.twice": lambda who: [
        effects.update().where(*effect(who.happy, "acknowledge")).values(state="accepted"),
        timeline.update()
        .where(timeline.c.case_id == who.happy, timeline.c.event == "acknowledge.refused")
        .values(event="acknowledge.sent"),
    ],
    "effect.told": lambda who: [NOT_TOLD.where(timeline.c.case_id == who.solved)],
    "voucher.budget": lambda _: [budgets.update().values(spent_vnd=budgets.c.spent_vnd - 1)],
    "voucher.row": lambda who: [
        vouchers.update().where(vouchers.c.case_id == who.happy).values(expires_at=None)
    ],
    "voucher.twice": lambda who: [
        *unbound(vouchers),
        *second_voucher(who.happy, id=99, state="issued"),
    ],
    "voucher.issued": lambda who: [
        effects.update().where(*effect(who.happy, "reward")).values(state="refused")
    ],
    "voucher.sent": lambda who: [
        vouchers.update().where(vouchers.c.case_id == who.happy).values(state="cancelled"),
        budgets.update().values(
            spent_count=budgets.c.spent_count - 1, spent_vnd=budgets.c.spent_vnd - 50_000
        ),
    ],
    "voucher.reserved": lambda who: second_voucher(who.new, state="reserved"),
}


def test_every_rule_is_broken_by_a_test() -> None:
    assert set(SABOTAGE) == {rule.id for rule in RULES}
    assert len(RULES) == len(SABOTAGE)


def test_nothing_fires_where_everything_is_right(town: Broken) -> None:
    assert town.fired() == {}
    assert [f.rule.id for f in audit(town.store, town.now)] == [rule.id for rule in RULES]


@pytest.mark.parametrize("rule_id", SABOTAGE)
def test_exactly_that_rule_fires(town: Broken, rule_id: str) -> None:
    fired = town.fired(*SABOTAGE[rule_id](town.people))
    assert set(fired) == {rule_id}
    finding = fired[rule_id]
    assert finding.violated is not finding.rule.note
    assert finding.rule.fix
    assert finding.examples[0].what.startswith(finding.rule.about)


def test_a_key_accepted_twice_is_found_even_without_the_constraint_that_forbids_it(town: Broken) -> None:
    columns = ", ".join(column.name for column in effects.columns if column.name != "id")
    fired = town.fired(
        *unbound(effects),
        f"INSERT INTO effects (id, {columns}) SELECT 999, {columns} FROM effects"  # noqa: S608 - our own names
        " WHERE step = 'survey' LIMIT 1",
    )
    assert set(fired) == {"effect.twice", "effect.told"}


def test_many_violations_are_counted_and_the_first_listed_with_their_cases(town: Broken) -> None:
    finding = town.fired(
        feedbacks.insert().values(
            [
                {
                    "journey": "complaint",
                    "source": "till",
                    "external_id": f"x{n}",
                    "text": "",
                    "raw": {},
                    "customer_id": customer,
                    "received_at": NINE,
                    "occurred_at": NINE,
                    "scale": "five_stars",
                    "verdict": "lost",
                    "reason": "x",
                    "routed_at": NINE,
                }
                for n in range(EXAMPLES + 5)
                for customer in [_some_customer(town)]
            ]
        )
    )["feedback.verdict"]
    assert (finding.count, len(finding.examples)) == (EXAMPLES + 5, EXAMPLES)
    [one] = town.fired(*SABOTAGE["case.forgotten"](town.people))["case.forgotten"].examples
    assert (one.case, one.journey) == (f"AM{town.people.solved:06d}", "complaint")


def _some_customer(town: Broken) -> int:
    with town.store.read() as tx:
        return int(tx.execute(sa.select(customers.c.id).limit(1)).scalar_one())


def test_a_step_that_an_operator_retries_may_be_beside_the_one_that_follows(town: Broken) -> None:
    who = town.people
    again = agenda.update().where(*item(who.reopened, "survey")).values(due_at=FAR_AHEAD)
    line = timeline.insert().values(case_id=who.reopened, at=NINE, event="survey.retried", actor="operator")
    assert set(town.fired(again)) == {"case.place"}
    assert town.fired(again, line) == {}


def test_a_proof_that_comes_before_its_sweep_is_no_violation(town: Broken) -> None:
    """The reward is accepted by webhook while its item is still on the agenda: the voucher is reserved still."""
    who = town.people
    proved = {"state": "accepted", "settled_at": NINE, "next_attempt_at": None}
    told = timeline.insert().values(case_id=who.waiting, at=NINE, event="reward.delivered", actor="zalo")
    assert town.fired(effects.update().where(*effect(who.waiting, "reward")).values(**proved), told) == {}


def test_the_docs_list_every_rule_as_it_is() -> None:
    text = (ROOT / "docs" / "verify.md").read_text(encoding="utf-8")
    for rule in RULES:
        assert f"| `{rule.id}` | {rule.sentence} | {rule.fix} |" in text, rule.id
