"""The ledger a page at a time: every filter, both orders, nothing twice and nothing left out."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from amends.domain.effects import EffectState, Step
from amends.store import ledger, ledger_lookups, repair, timeline
from amends.store.engine import Store, Tx
from amends.store.ledger_lookups import EffectFilter, list_effects
from amends.store.repair import By
from tests.domain.examples import HOUR, NINE
from tests.store.rows import ACCEPTED, BUSY, REFUSED, UNKNOWN, add_case, intent

STATES = {"refused": REFUSED, "waiting": BUSY, "uncertain": UNKNOWN, "accepted": ACCEPTED}


def fill(tx: Tx) -> dict[str, int]:
    """Four effects of four cases, an hour apart, each in another state; the state to the case."""
    found = {}
    for number, (state, outcome) in enumerate(STATES.items()):
        at = NINE + number * HOUR
        made = intent(
            add_case(tx),
            step=Step.SURVEY if state == "accepted" else Step.ACKNOWLEDGE,
            channel="email" if state == "refused" else "zns",
        )
        ledger.begin(tx, [made], owner="one", now=at, lease_until=at + HOUR)
        ledger.settle(tx, [(made, outcome)], owner="one", attempts={}, now=at)
        found[state] = made.case_id
    return found


def states(tx: Tx, limit: int = 9, **filters: Any) -> list[str]:
    return [effect.state for effect in list_effects(tx, EffectFilter(**filters), limit=limit)]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["accepted", "uncertain", "waiting", "refused"]),
        ({"states": [EffectState.UNCERTAIN]}, ["uncertain"]),
        ({"states": [EffectState.REFUSED, EffectState.WAITING]}, ["waiting", "refused"]),
        ({"states": list(ledger_lookups.OPEN)}, ["uncertain", "waiting"]),
        ({"step": Step.SURVEY}, ["accepted"]),
        ({"channel": "email"}, ["refused"]),
        ({"code": "-118"}, ["refused"]),
        ({"journey": "aftercare"}, []),
        ({"since": NINE + HOUR}, ["accepted", "uncertain", "waiting"]),
        ({"until": NINE + HOUR}, ["refused"]),
        ({"since": NINE + HOUR, "until": NINE + 3 * HOUR, "channel": "zns"}, ["uncertain", "waiting"]),
    ],
)
def test_each_filter_finds_what_it_says(store: Store, filters: dict[str, Any], found: list[str]) -> None:
    with store.begin() as tx:
        fill(tx)
        assert states(tx, **filters) == found


def test_the_effects_of_one_case(store: Store) -> None:
    with store.begin() as tx:
        case_id = fill(tx)["waiting"]
        assert states(tx, case_id=case_id) == ["waiting"]


@pytest.mark.parametrize("oldest_first", [False, True])
def test_page_by_page_everything_comes_once(store: Store, oldest_first: bool) -> None:
    with store.begin() as tx:
        fill(tx)
        seen: list[int] = []
        while page := list_effects(
            tx,
            EffectFilter(),
            limit=3,
            after_id=seen[-1] if seen else None,
            oldest_first=oldest_first,
        ):
            assert len(page) <= 3
            seen += [effect.id for effect in page]
    assert len(seen) == 4
    assert seen == sorted(seen, reverse=not oldest_first)


def test_one_effect_has_the_lines_of_its_step_and_what_was_done_by_hand(store: Store) -> None:
    with store.begin() as tx:
        case_id = fill(tx)["uncertain"]
        (effect,) = list_effects(tx, EffectFilter(case_id=case_id), limit=1)
        timeline.append(
            tx,
            [timeline.Entry(case_id, NINE, event) for event in ("acknowledge.uncertain", "ticket.opened")],
        )
        repair.settle_sent(tx, effect.id, By("hoa", "asked", NINE + timedelta(days=1)))
        story = ledger_lookups.story_of(tx, effect.id)
        assert ledger_lookups.story_of(tx, 10**9) is None
    assert story is not None
    assert story.effect.state == "accepted"
    assert [line.event for line in story.lines] == ["acknowledge.uncertain", "acknowledge.settled_sent"]
    assert [(deed.actor, deed.action) for deed in story.deeds] == [("hoa", "settled_sent")]


def test_the_index_of_open_effects_serves_sqlite_too(store: Store) -> None:
    """A partial index is used only where the question repeats its condition, letter by letter."""
    if store.is_postgres:
        return
    heard: list[tuple[str, Any]] = []
    with store.begin() as tx:
        sa.event.listen(tx, "before_cursor_execute", lambda _c, _cur, sql, p, _x, _m: heard.append((sql, p)))
        list_effects(tx, EffectFilter([EffectState.UNCERTAIN]), limit=5)
        sql, parameters = heard[-1]
        plan = [str(row.detail) for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    assert any("ix_effects_open" in step for step in plan), plan
