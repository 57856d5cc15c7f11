"""Idle cases by the hundred thousand: the rows of a few cases that the product has played, copied inside the database.

Each copy has a customer, feedback, case, ticket, clocks, agenda, effects, survey and timeline of its own; what must be
unique differs from its model, the rest does not. Keys of effects are derived, as `verify` demands.
"""
# ruff: noqa: S608 - all names are those of our own tables

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from amends.domain.effects import Step, effect_key
from amends.store.engine import Store, Tx
from amends.store.schema import (
    agenda,
    cases,
    customers,
    effects,
    feedbacks,
    metadata,
    sla_clocks,
    surveys,
    tickets,
    timeline,
)

MODELS = 20
"""Cases that the product plays."""
COPIED = (customers, cases, feedbacks, tickets, sla_clocks, agenda, surveys, timeline)
_OWN_ID = (customers, cases)
_SHIFTED = ("customer_id", "case_id")


def multiply(store: Store, count: int) -> int:
    """Copy the cases there are until there are at least `count`; returns how many there are then."""
    with store.begin() as tx:
        models = int(tx.execute(sa.select(sa.func.count()).select_from(cases)).scalar_one())
        highest = [tx.execute(sa.select(sa.func.max(table.c.id))).scalar_one() for table in _OWN_ID]
        span, copies = max(highest), -(-count // models) - 1
        # Right by construction, and checked one by one they would take as long again.
        tx.exec_driver_sql(
            "SET LOCAL session_replication_role = replica"
            if store.is_postgres
            else "PRAGMA defer_foreign_keys = ON"
        )
        for table in COPIED:
            tx.exec_driver_sql(_copy_of(table, span, copies, postgres=store.is_postgres))
        _add_effects(tx, span, copies, postgres=store.is_postgres)
        if store.is_postgres:
            for table in _OWN_ID:
                tx.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), max(id)) FROM {table.name}"
                )
    if store.is_postgres:  # as autovacuum does it in the course of a day
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    return models * (copies + 1)


def _copy_of(table: sa.Table, span: int, copies: int, *, postgres: bool) -> str:
    changed = {name: f"m.{name} + n * {span}" for name in _SHIFTED}
    if table in _OWN_ID:
        changed["id"] = f"m.id + n * {span}"
    if table is customers:
        changed["key"] = (
            "encode(sha256((m.key || n)::bytea), 'hex')" if postgres else "lower(hex(randomblob(32)))"
        )
    changed["external_id"] = "m.external_id || '-' || n"
    names = [column.name for column in table.columns if column.name != "id" or table in _OWN_ID]
    values = ", ".join(changed.get(name, f"m.{name}") for name in names)
    numbers = (
        f"generate_series(1, {copies}) AS s(n)"
        if postgres
        else f"(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {copies}) SELECT n FROM s)"
    )
    # The models first: rows of one case lie together, in the order in which cases come.
    models = f"(SELECT * FROM {table.name} ORDER BY id) AS m"
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {values} FROM {numbers} CROSS JOIN {models}"


def _add_effects(tx: Tx, span: int, copies: int, *, postgres: bool) -> None:
    names = [column.name for column in effects.columns if column.name != "id"]
    models = [dict(row) for row in tx.exec_driver_sql("SELECT * FROM effects ORDER BY id").mappings()]
    rows = _effects(models, names, span, copies)
    cursor: Any = tx.connection.cursor()
    if postgres:
        with cursor.copy(f"COPY effects ({', '.join(names)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        return
    marks = ", ".join("?" * len(names))
    cursor.executemany(f"INSERT INTO effects ({', '.join(names)}) VALUES ({marks})", rows)


def _effects(
    models: list[dict[str, Any]], names: list[str], span: int, copies: int
) -> Iterator[tuple[Any, ...]]:
    for number in range(1, copies + 1):
        for model in models:
            case_id = model["case_id"] + number * span
            key = effect_key(
                model["journey"], case_id, Step(model["step"]), model["channel"], model["ordinal"]
            )
            own: Mapping[str, Any] = {
                "case_id": case_id,
                "customer_id": model["customer_id"] and model["customer_id"] + number * span,
                "key": key,
                "provider_id": model["provider_id"] and f"{model['provider_id']}-{number}",
            }
            yield tuple(own.get(name, model[name]) for name in names)


def rows_per_case(store: Store) -> float:
    """Rows in all tables that grow, over cases."""
    with store.read() as tx:
        counts = {
            table.name: tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
            if table in (*COPIED, effects)
        }
    return float(sum(counts.values()) / counts["cases"])
