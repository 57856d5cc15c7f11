"""What a vendor's webhook means for us: answers into the inbox, proofs into the ledger, chats into the timeline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from amends.domain.detection import Verdict
from amends.domain.feedback import Feedback, Rejected
from amends.domain.outcome import Outcome, OutcomeClass
from amends.domain.ratings import Scale
from amends.store import cases, inbox, incidents, ledger, timeline, zalo_users
from amends.store.engine import Tx
from amends.store.webhook_events import EventState
from amends.store.zalo_users import ZaloId
from connectors.events import (
    ContactShared,
    CustomerActed,
    CustomerLeft,
    CustomerWrote,
    Delivered,
    Rated,
    TemplateChanged,
    VendorEvent,
)
from tasks.ratings import as_feedback, survey_source
from tasks.sweep import at_account

CHAT = "zalo-chat"
"""The source of chat messages in the inbox."""


@dataclass(slots=True)
class Acted:
    """What acting on a batch of events came to."""

    fates: list[tuple[EventState, str]] = field(default_factory=list)
    """One for each event, in order."""
    journeys: set[str] = field(default_factory=set)
    """Journeys with new feedback to judge."""
    templates: set[str] = field(default_factory=set)
    """Templates of which something else is true now than a moment ago."""


def act_on(tx: Tx, account: str, events: Sequence[VendorEvent], now: datetime) -> Acted:
    """Act on events of one Zalo account that nobody has acted on before, all in the caller's transaction."""
    acted = Acted()
    proofs = _proofs(tx, events)
    _note_interactions(tx, account, events)
    for event in events:
        match event.fact:
            case Rated():
                fate = _rated(tx, event.fact, proofs, acted, now)
            case Delivered():
                fate = _delivered(tx, event.fact, event.occurred_at, proofs, now)
            case CustomerWrote():
                fate = _wrote(tx, ZaloId(account, event.fact.user_id), event.fact, event.occurred_at, now)
            case ContactShared():
                fate = _shared(tx, account, event.fact)
            case CustomerLeft():
                zalo_users.left(tx, ZaloId(account, event.fact.user_id), event.occurred_at)
                fate = EventState.DONE, "no chat messages to this user any more"
            case CustomerActed():
                fate = EventState.DONE, "the chat window of this user is open"
            case TemplateChanged():
                fate = _template_changed(tx, account, event.fact, now)
                acted.templates.add(event.fact.template_id)
            case None:
                fate = EventState.IGNORED, "means nothing to any journey"
        acted.fates.append(fate)
    return acted


def _proofs(tx: Tx, events: Iterable[VendorEvent]) -> dict[str, ledger.Proof]:
    """The effects of ours that these events speak of, by message id and tracking id, in two queries."""
    pairs = [
        (fact.answer.msg_id, fact.answer.tracking_id)
        if isinstance(fact := event.fact, Rated)
        else (fact.msg_id, fact.tracking_id)
        for event in events
        if isinstance(event.fact, Rated | Delivered)
    ]
    if not pairs:
        return {}
    return ledger.find(
        tx, provider_ids=[msg_id for msg_id, _ in pairs], tracking_ids=[tracking for _, tracking in pairs]
    )


def _note_interactions(tx: Tx, account: str, events: Iterable[VendorEvent]) -> None:
    moments: dict[ZaloId, datetime] = {}
    for event in events:
        if isinstance(event.fact, CustomerWrote | CustomerActed | ContactShared):
            user = ZaloId(account, event.fact.user_id)
            moments[user] = max(event.occurred_at, moments.get(user, event.occurred_at))
    if moments:
        zalo_users.acted(tx, moments)


def _rated(
    tx: Tx, fact: Rated, proofs: dict[str, ledger.Proof], acted: Acted, now: datetime
) -> tuple[EventState, str]:
    answer = fact.answer
    proof = proofs.get(answer.msg_id) or proofs.get(answer.tracking_id)
    if proof is None:
        # Zalo names neither template nor person: only the poll of a journey's template can tell whose it is.
        return EventState.WAITING, "answers a message that is not ours; a poll will tell whose it is"
    found = as_feedback(answer, survey_source(proof.template_id))
    if isinstance(found, Rejected):
        inbox.reject(tx, proof.journey, [found], now)
        return EventState.DONE, "quarantined"
    inbox.receive(tx, proof.journey, [found], now)
    acted.journeys.add(proof.journey)
    return EventState.DONE, "answer to a message of ours"


def _delivered(
    tx: Tx, fact: Delivered, at: datetime, proofs: dict[str, ledger.Proof], now: datetime
) -> tuple[EventState, str]:
    proof = proofs.get(fact.msg_id) or proofs.get(fact.tracking_id)
    if proof is None:
        return EventState.IGNORED, "delivery of a message that is not ours"
    settled = ledger.prove(tx, proof.key, fact.msg_id, now, "proved by the vendor's delivery webhook")
    told = "delivered; that settles the doubt" if settled else "delivered"
    line = timeline.Entry(
        proof.case_id, at, f"{proof.step}.delivered", f"message {fact.msg_id} {told}", "zalo"
    )
    timeline.append(tx, [line])
    return EventState.DONE, told


def _wrote(tx: Tx, user: ZaloId, fact: CustomerWrote, at: datetime, now: datetime) -> tuple[EventState, str]:
    customer_id = zalo_users.customers_of(tx, [user]).get(user)
    if customer_id is None:
        return EventState.IGNORED, "from a user who is no customer of ours yet"
    open_case = cases.newest_open(tx, customer_id)
    if open_case is None:
        return EventState.IGNORED, "from a customer without an open case"
    message = Feedback(
        source=CHAT,
        external_id=fact.msg_id,
        occurred_at=at,
        scale=Scale.FIVE_STARS,
        text=fact.text,
        zalo_uid=user.uid,
    )
    inbox.attach(tx, open_case.journey, message, customer_id, open_case.id, Verdict.MESSAGE, now)
    line = timeline.Entry(open_case.id, at, "customer.wrote", f"on Zalo, message {fact.msg_id}", "customer")
    timeline.append(tx, [line])
    return EventState.DONE, "in the timeline of the customer's case"


def _shared(tx: Tx, account: str, fact: ContactShared) -> tuple[EventState, str]:
    if fact.phone is None:
        return EventState.IGNORED, "the phone number is not usable"
    customer_id = inbox.customer_by_phone(tx, fact.phone, fact.name[:200] or None, fact.user_id)
    zalo_users.belongs_to(tx, ZaloId(account, fact.user_id), customer_id)
    return EventState.DONE, "the user is known by phone number now"


def _template_changed(tx: Tx, account: str, fact: TemplateChanged, now: datetime) -> tuple[EventState, str]:
    stopped = at_account(f"zns:{fact.template_id}", account)
    if fact.usable:
        incidents.resolve(tx, stopped, now)
        return EventState.DONE, f"template {fact.template_id} may be sent again"
    told = f"Zalo has set template {fact.template_id} to {fact.status}"
    outcome = Outcome(OutcomeClass.NEEDS_HUMAN, code=f"template_{fact.status.lower()}"[:40], detail=told)
    incidents.report(tx, stopped, {outcome.code or "template": (outcome, 1)}, now)
    return EventState.DONE, told
