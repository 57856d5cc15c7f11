"""What the tests of tasks share: sweeps without Prefect, a customer with a case, and webhooks as Zalo writes them."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from amends.clock import Clock, VirtualClock
from amends.domain.effects import EffectState, Step, tracking_id
from amends.domain.journey import ComplaintJourney
from amends.domain.outcome import Outcome
from amends.settings import Settings, ZaloSettings
from amends.store import ledger, timeline, zalo_users
from amends.store.engine import Store, Tx
from amends.store.ledger import Intent
from amends.store.schema import effects, feedbacks, webhook_events
from amends.store.spool import Arrived
from amends.store.zalo_users import ZaloId
from connectors.ports import Channel, RatingAnswer, RatingSource
from connectors.registry import Connectors
from connectors.zalo.account import ZaloAccount
from tasks.sweep import Runtime, Sweep
from tests.conftest import KEY
from tests.domain.examples import JOURNEY, NINE
from tests.store.rows import ACCEPTED, add_case, add_customer, intent

ACCOUNT = "default"
DOOR = f"zalo:{ACCOUNT}"
SURVEY = "320001"
"""The shipped journey's survey template."""
AFTER_PURCHASE = "320003"
"""The template whose ratings the shipped journey polls as `after-purchase`."""
LAN = ZaloId(ACCOUNT, "user-1")
PHONE = "84912345678"


def task_settings(home: Path) -> Settings:
    return Settings(
        home=home,
        encryption_keys=[SecretStr(KEY)],
        zalo=ZaloSettings(app_id="app-1"),
        zalo_accounts={"hanoi": ZaloSettings(app_id="app-2")},
    )


def sweep_over(
    store: Store,
    home: Path,
    *,
    journey: ComplaintJourney = JOURNEY,
    clock: Clock | None = None,
    channels: Mapping[str, Channel] | None = None,
    ratings: RatingSource | None = None,
    zalo: ZaloAccount | None = None,
    read_back: timedelta = timedelta(0),
) -> Sweep:
    """A sweep at nine on Monday that reaches no vendor but those given."""
    runtime = Runtime(task_settings(home), store, clock or VirtualClock(NINE))
    connectors = Connectors(channels or {}, {"zns": ratings} if ratings else {}, zalo)
    return Sweep(journey, runtime, connectors, read_back)


def answer(msg_id: str = "m-1", **changes: Any) -> RatingAnswer:
    known: dict[str, Any] = {"rate": 1, "option": "five_emotions", "submitted_at": NINE, "tracking_id": ""}
    return RatingAnswer(**{**known, "msg_id": msg_id, "note": "Giao chậm", **changes})


def add_effect(
    tx: Tx, outcome: Outcome | None = ACCEPTED, step: Step = Step.SURVEY, **changes: Any
) -> tuple[int, Intent]:
    """A case with one message of ours, settled with `outcome` or, for None, still on its way."""
    customer_id = add_customer(tx)
    case_id = add_case(tx, customer_id=customer_id)
    made = intent(case_id, **{"step": step, "customer_id": customer_id, "template_id": SURVEY, **changes})
    ledger.begin(tx, [made], owner="one", now=NINE, lease_until=NINE + timedelta(minutes=2))
    if outcome is not None:
        ledger.settle(tx, [(made, outcome)], owner="one", attempts={made.key: 1}, now=NINE)
    return case_id, made


def add_chatting_customer(tx: Tx, *, with_case: bool = True) -> tuple[int, int | None]:
    """Lan, known by her user id; returns the ids of her and of her open case."""
    customer_id = add_customer(tx)
    zalo_users.belongs_to(tx, LAN, customer_id)
    return customer_id, add_case(tx, customer_id=customer_id) if with_case else None


def state_of(tx: Tx, made: Intent) -> tuple[str, str | None]:
    """State and vendor's id of an effect."""
    row = tx.execute(sa.select(effects).where(effects.c.key == made.key)).one()
    assert row.state in list(EffectState)
    return row.state, row.provider_id


def story(tx: Tx, case_id: int) -> list[str]:
    return [entry.event for entry in timeline.of_case(tx, case_id)]


def inbox_of(tx: Tx) -> list[tuple[str, str]]:
    """(source, external id) of all feedback."""
    query = sa.select(feedbacks.c.source, feedbacks.c.external_id).order_by(feedbacks.c.id)
    return [(row.source, row.external_id) for row in tx.execute(query)]


def fates(tx: Tx) -> dict[str, str]:
    """Key to state of all webhook events."""
    rows = tx.execute(sa.select(webhook_events.c.key, webhook_events.c.state))
    return {row.key: row.state for row in rows}


def kept(tx: Tx, key: str) -> Any:
    """What is left of an event's payload."""
    query = sa.select(webhook_events.c.payload).where(webhook_events.c.key == key)
    return tx.execute(query).scalar_one()


def ms(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def zalo_body(name: str, at: datetime = NINE, **body: Any) -> dict[str, Any]:
    return {"event_name": name, "app_id": "app-1", "timestamp": ms(at), **body}


def rated(msg_id: str = "m-1", tracking: str = "", rate: int = 1, at: datetime = NINE) -> dict[str, Any]:
    message = {"msg_id": msg_id, "tracking_id": tracking, "rate": rate, "submit_time": ms(at)}
    return zalo_body(
        "user_feedback", at, oa_id="oa-1", message={**message, "option": "five_emotions", "note": "Giao chậm"}
    )


def delivered(msg_id: str, made: Intent | None = None) -> dict[str, Any]:
    message = {
        "msg_id": msg_id,
        "tracking_id": tracking_id(made.key) if made else "",
        "delivery_time": ms(NINE),
    }
    return zalo_body("user_received_message", sender={"id": "oa-1"}, recipient={"id": PHONE}, message=message)


def wrote(msg_id: str = "c-1", uid: str = LAN.uid, text: str = "Khi nào giao lại?") -> dict[str, Any]:
    return zalo_body(
        "user_send_text",
        sender={"id": uid},
        recipient={"id": "oa-1"},
        message={"msg_id": msg_id, "text": text},
    )


def shared(uid: str = LAN.uid, phone: str = PHONE, name: str = "Lan") -> dict[str, Any]:
    return zalo_body("user_submit_info", sender={"id": uid}, info={"phone": phone, "name": name})


def by_zalo(key: str, body: Mapping[str, Any] | bytes, door: str = DOOR, at: datetime = NINE) -> Arrived:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Arrived(door, key, at, raw, "ZNS")


def posted(key: str, body: Any, source: str = "till", at: datetime = NINE) -> Arrived:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Arrived(f"webhook:{source}", key, at, raw)
