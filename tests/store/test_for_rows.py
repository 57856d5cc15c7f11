"""Rows that travel as one document arrive as they would one by one, on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amends.domain.effects import Step
from amends.store import timeline
from amends.store.engine import Store
from amends.store.for_rows import ForRows, if_new, insert_of
from amends.store.schema import agenda as agenda_table
from amends.store.schema import cases, tickets
from amends.store.schema import timeline as timeline_table
from amends.store.sql import rendered
from tests.domain.examples import NINE
from tests.store.rows import add_case, wipe

TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60)
MOMENTS = st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001 - the zones come apart
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=7))]),
)
_LINES = insert_of(timeline_table, "case_id", "at", "event", "actor", "detail")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(MOMENTS, TEXTS, TEXTS), max_size=8))
def test_whatever_is_given_is_what_is_stored(store: Store, rows: list[tuple[datetime, str, str]]) -> None:
    wipe(store)
    with store.begin() as tx:
        case_id = add_case(tx)
        _LINES.execute(tx, [(case_id, at, "note", actor, detail) for at, actor, detail in rows])
    with store.read() as tx:
        found = [(line.at, line.actor, line.detail) for line in timeline.of_case(tx, case_id)]
    assert found == rows


def test_a_time_is_stored_as_a_single_insert_stores_it(store: Store) -> None:
    """On SQLite times are text: two spellings of one moment would not sort."""
    with store.begin() as tx:
        case_id = add_case(tx)
        _LINES.execute(tx, [(case_id, NINE, "note", "x", "as a document")])
        one = {"case_id": case_id, "at": NINE, "event": "note", "actor": "x", "detail": "by itself"}
        tx.execute(timeline_table.insert(), one)
        told = sa.select(sa.cast(timeline_table.c.at, sa.Text)).where(timeline_table.c.case_id == case_id)
        document, by_itself = tx.execute(told).scalars()
    assert document == by_itself


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with store.begin() as tx, pytest.raises(ValueError, match="no time zone"):
        _LINES.execute(tx, [(add_case(tx), NINE.replace(tzinfo=None), "note", "x", "")])


def test_a_sealed_column_is_sealed(store: Store) -> None:
    opened = insert_of(
        tickets,
        "case_id",
        "summary",
        state=sa.literal("new"),
        severity=sa.literal("high"),
        cycle=sa.literal(0),
        opened_at=sa.bindparam("b_now", type_=tickets.c.opened_at.type),
    )
    with store.begin() as tx:
        opened.execute(tx, [(add_case(tx), "vỏ hộp bị móp")], b_now=NINE)
        raw = str(tx.exec_driver_sql("SELECT summary FROM tickets").scalar_one())
        assert raw.startswith("sealed1:")
        assert tx.execute(sa.select(tickets.c.summary)).scalar_one() == "vỏ hộp bị móp"


def test_no_rows_are_no_statement(store: Store) -> None:
    with store.begin() as tx:
        assert _LINES.execute(tx, []) is None
        assert _LINES.execute(tx, _LINES.pack(tx.dialect, [])) is None
        assert _LINES.count(tx, []) == 0


def test_of_rows_that_are_there_already_nothing_changes(store: Store) -> None:
    plan = insert_of(agenda_table, "case_id", "journey", "step", "ordinal", "due_at", ending=if_new)
    with store.begin() as tx:
        case_id = add_case(tx)
        row: tuple[Any, ...] = (case_id, "complaint", Step.SURVEY.value, 0, NINE)
        plan.execute(tx, [row])
        plan.execute(tx, [(*row[:4], NINE + timedelta(days=1)), (*row[:3], 1, NINE)])
        due = sa.select(agenda_table.c.ordinal, agenda_table.c.due_at).order_by(agenda_table.c.ordinal)
        assert [tuple(found) for found in tx.execute(due)] == [(0, NINE), (1, NINE)]


def test_an_update_changes_each_row_and_no_other(store: Store) -> None:
    renamed = ForRows(
        [cases.c.id, cases.c.branch],
        lambda _tx, fresh: cases.update().where(cases.c.id == fresh.c.id).values(branch=fresh.c.branch),
    )
    with store.begin() as tx:
        first, second, third = (add_case(tx) for _ in range(3))
        renamed.execute(tx, [(first, "Huế"), (third, None)])
        found = {row.id: row.branch for row in tx.execute(sa.select(cases.c.id, cases.c.branch))}
        before = found[second]
        assert found == {first: "Huế", second: before, third: None}


def test_a_rendered_statement_is_each_engines_own(kept_sqlite: Store, kept_postgres: Store) -> None:
    statement = sa.select(cases.c.id).where(cases.c.id.in_(sa.bindparam("ids", expanding=True)))
    for store in (kept_sqlite, kept_postgres):
        wipe(store)
        with store.begin() as tx:
            ids = [add_case(tx) for _ in range(3)]
            assert rendered(tx, statement) is rendered(tx, statement)
            for wanted in (ids, ids[:1], []):
                assert sorted(tx.execute(rendered(tx, statement), {"ids": wanted}).scalars()) == wanted
