"""A person whose traces a test looks for: whatever holds one of these has not forgotten her."""

from collections.abc import Iterator

import sqlalchemy as sa

from amends.domain.feedback import Feedback, FieldProblem, Rejected
from amends.store import inbox, webhook_events, zalo_users
from amends.store.engine import Store, Tx
from amends.store.schema import metadata
from amends.store.webhook_events import Event, EventState, Fate
from amends.store.zalo_users import ZaloId
from tests.domain.examples import NINE
from tests.store.rows import feedback

PHONE, MAIL, NAME, UID, ORDER = (
    "84912345678",
    "lan.tran@example.com",
    "Trần Thị Lan",
    "zalo-lan-77",
    "DH-7781",
)
WORDS = "Giao trễ cho em Lan ở hẻm 12"
TRACES = (PHONE, PHONE[2:], "0912 345 678", MAIL, NAME, UID, ORDER, "hẻm 12")
STRANGER = "84987654321"


def her_feedback(external_id: str = "r1", **changes: object) -> Feedback:
    known: dict[str, object] = {"phone": PHONE, "email": MAIL, "customer_name": NAME, "zalo_uid": UID}
    known |= {"text": f"{WORDS}, gọi 0912 345 678", "order_ref": ORDER, "customer_ref": "u-9"}
    known |= {"raw": {"mobile": "0912345678", "who": NAME, "mail": MAIL, "say": WORDS}}
    return feedback(external_id, **{**known, **changes})


def rejected(fingerprint: str, raw: dict[str, object], told: str = "'x': no mark") -> Rejected:
    problem = FieldProblem("rating", told, "write 1 to 5")
    return Rejected("marketplace", "reviews.csv line 4", fingerprint, (problem,), raw)


HER_BAD_ROWS = (
    rejected("f1", {"sao": 9, "who": NAME, "mobile": 912345678}),
    rejected("f2", {"sao": 9, "say": f"viết cho {MAIL.upper()}, {WORDS}"}),
)
OTHERS_BAD_ROW = rejected("f3", {"sao": 9, "mobile": "0987 654 321", "order": "DH-7780"})


def plant(tx: Tx, *ratings: Feedback) -> None:
    """Her ratings, and her traces in quarantine, webhooks and among Zalo's users, each beside a stranger's."""
    inbox.receive(tx, "complaint", [*ratings, feedback("r9", phone=STRANGER, text="Ổn", rating=5.0)], NINE)
    inbox.reject(tx, "complaint", [*HER_BAD_ROWS, OTHERS_BAD_ROW], NINE)
    zalo_users.acted(tx, {ZaloId("default", UID): NINE, ZaloId("default", "stranger"): NINE})
    chat = {"sender": {"id": UID}, "message": {"text": WORDS}}
    events = [
        Event("zalo:default", "user_send_text:c-1", "user_send_text", NINE, NINE, chat),
        Event("zalo:default", f"follow:{UID}:1762048800000", "follow", NINE, NINE, None),
        Event("zalo:default", "user_send_text:c-2", "user_send_text", NINE, NINE, {"sender": {"id": "x"}}),
    ]
    webhook_events.take_in(tx, events)
    webhook_events.settle(tx, [Fate(event.door, event.key, EventState.IGNORED) for event in events])


def traces(store: Store) -> list[tuple[str, str]]:
    """(table, trace) of everything in any column of any table that still names her."""
    with store.read() as tx:
        return [
            (table.name, trace)
            for table in metadata.sorted_tables
            for text in _texts(tx, table)
            for trace in TRACES
            if trace.lower() in text.lower()
        ]


def _texts(tx: Tx, table: sa.Table) -> Iterator[str]:
    for row in tx.execute(sa.select(table)):
        yield from (str(value) for value in row if value is not None)
