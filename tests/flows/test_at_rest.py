"""A whole journey, and then the raw bytes: nobody's number, address, name or words are in them in clear."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.store.opening import open_spool
from amends.store.resealing import SEALED
from amends.store.schema import metadata
from amends.store.spool import Arrived
from flows.complaint import complaint
from sandbox.process import Sandbox
from tasks.sweep import Runtime
from tests.flows.bench import NEVER_RATES, changed, drop_reviews, move, review, solve_all

pytestmark = pytest.mark.usefixtures("prefect_api")

PRIVATE = {
    "phone": "84912345671",
    "as written": "0912 345 671",
    "mail": "lan.rieng@example.com",
    "name": "Trần Thị Riêng",
    "words": "gọi tôi lúc chín giờ tối",
    "posted phone": "84912345672",
    "posted name": "Nguyễn Văn Kín",
    "quarantined phone": "0912345673",
    "quarantined name": "Phạm Thị Mật",
    "nickname": "be.na.1994",
    "reviewer": NEVER_RATES,
}


async def test_no_personal_data_is_stored_in_clear(
    runtime: Runtime, journey: ComplaintJourney, sandbox: Sandbox, clock: VirtualClock
) -> None:
    journey = _with_every_source(journey)
    contacts = {"email": PRIVATE["mail"], "customer_name": PRIVATE["name"]}
    drop_reviews(
        runtime,
        "monday",
        [
            review(1, phone=PRIVATE["as written"], text=PRIVATE["words"]) | contacts,
            review(2, phone=None, customer_ref=PRIVATE["nickname"]),
            review(
                3, phone=PRIVATE["quarantined phone"], rating=9, customer_name=PRIVATE["quarantined name"]
            ),
            review(4, phone=PRIVATE["quarantined phone"]) | {"rating": PRIVATE["quarantined name"]},
            review(5, phone=PRIVATE["reviewer"]),
        ],
    )
    spool = open_spool(runtime.settings)
    rating = {"rating": 1, "text": PRIVATE["words"], "phone": PRIVATE["posted phone"]}
    rating["customer_name"] = PRIVATE["posted name"]
    odd = {
        "event_name": "user_click_chatnow",
        "app_id": "x",
        "timestamp": "1",
        "sender": {"id": "u"},
        **PRIVATE,
    }
    spool.put(
        [
            Arrived("webhook:till", "k1", clock.now(), json.dumps(rating).encode()),
            Arrived("zalo:default", "k2", clock.now(), json.dumps(odd, ensure_ascii=False).encode()),
        ]
    )
    assert_sealed(b"".join(_files(runtime.settings.home, "webhooks.spool*")))
    spool.close()
    await complaint(journey)
    solve_all(runtime.store, move(clock, sandbox, timedelta(minutes=30)))
    move(clock, sandbox, timedelta(hours=4))
    await complaint(journey)
    (survey,) = (
        entry for entry in sandbox.book(phone=PRIVATE["reviewer"]) if entry.get("template_type") == "rating"
    )
    sandbox.rate(survey["msg_id"], 1, PRIVATE["words"])
    move(clock, sandbox, timedelta(hours=2))
    await complaint(journey)
    _every_sealed_table_was_used(runtime)
    assert_sealed(_all_rows(runtime).encode())
    assert_sealed(
        b"".join(_files(runtime.settings.home, "amends.db*")), on_disk=not runtime.store.is_postgres
    )
    runtime.store.close()
    assert_sealed(
        b"".join(_files(runtime.settings.home, "amends.db*")), on_disk=not runtime.store.is_postgres
    )


def _with_every_source(journey: ComplaintJourney) -> ComplaintJourney:
    sources = journey.model_dump(mode="json")["sources"]
    return changed(journey, sources=[sources[0], {"kind": "webhook", "name": "till"}])


def assert_sealed(content: bytes, *, on_disk: bool = True) -> None:
    assert (b"sealed1:" in content or b"fernet:" in content) is on_disk
    for what, value in PRIVATE.items():
        escaped = json.dumps(value)[1:-1].encode()
        assert value.encode() not in content, what
        assert escaped not in content, what


def _files(folder: Path, pattern: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.glob(pattern))]


def _all_rows(runtime: Runtime) -> str:
    """Every row of every table, past the types of its columns."""
    with runtime.store.read() as tx:
        rows = [
            tuple(row)
            for table in metadata.sorted_tables
            for row in tx.execute(
                sa.select(sa.literal(table.name), *(_raw(column) for column in table.columns))
            )
        ]
    return "\n".join(map(repr, rows))


def _raw(column: sa.Column[object]) -> sa.ColumnElement[str]:
    return sa.cast(sa.type_coerce(column, sa.Text), sa.Text)


def _every_sealed_table_was_used(runtime: Runtime) -> None:
    """Otherwise the test would look for what was never written."""
    with runtime.store.read() as tx:
        for table, columns in SEALED.items():
            for column in columns:
                query = sa.select(sa.func.count()).where(column.is_not(None), _raw(column) != "")
                assert tx.execute(query).scalar_one(), f"{table.name}.{column.name}"
