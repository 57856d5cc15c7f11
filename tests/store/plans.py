"""How a database would carry out a statement, as it says itself."""

from collections.abc import Iterator
from typing import Any

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
