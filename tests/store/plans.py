"""How a database would carry out a statement, as it says itself."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from amends.store.engine import Store

GROWING = {"customers", "cases", "feedbacks", "agenda", "effects", "tickets", "sla_clocks", "surveys"}
GROWING |= {"timeline", "vouchers", "quarantine", "webhook_events", "operator_log"}


def tables_read_whole(store: Store, sql: str, parameters: Any) -> set[str]:
    """The growing tables that the database reads from end to end for this statement."""
    with store.engine.connect() as tx:
        if store.is_postgres:
            (plan,) = tx.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}", parameters).scalar_one()
            nodes = nodes_of(plan["Plan"])
            read = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
        else:
            lines = [str(row.detail) for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)]
            read = {line.split()[1] for line in lines if line.startswith("SCAN ")}
        tx.rollback()
    return read & GROWING


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes_of(inner)


def few(store: Store) -> int:
    """What `touched` may be for a few rows among thousands; reading a whole index of them is several times that."""
    return 20 if store.is_postgres else 100


def touched(store: Store, sql: str, parameters: Any) -> int:
    """How many rows PostgreSQL looks at to carry out the statement, found or not; what it does is rolled back.

    Of SQLite: how many instructions its machine runs, in tens. Passing over one row takes it three, at least.
    """
    with store.engine.connect() as tx:
        if store.is_postgres:
            (plan,) = tx.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters).scalar_one()
            number = sum(_touched(node) for node in nodes_of(plan["Plan"]) if "Relation Name" in node)
        else:
            number = _tens_of_instructions(tx, sql, parameters)
        tx.rollback()
    return number


def _touched(node: dict[str, Any]) -> int:
    counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    return int(node["Actual Loops"] * sum(node.get(count, 0) for count in counts))


def _tens_of_instructions(tx: sa.Connection, sql: str, parameters: Any) -> int:
    tens = 0

    def count() -> int:
        nonlocal tens
        tens += 1
        return 0

    driver: Any = tx.connection.driver_connection
    driver.set_progress_handler(count, 10)
    result = tx.exec_driver_sql(sql, parameters)
    if result.returns_rows:
        result.all()
    driver.set_progress_handler(None, 0)
    return tens
