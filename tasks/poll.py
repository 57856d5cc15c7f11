"""Polls: ask Zalo for the answers to rating templates, and bring in what a webhook has only announced."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from amends.domain.contacts import mask
from amends.domain.journey.messages import CustomerMessage
from amends.domain.journey.sources import ZnsRatingSource
from amends.domain.outcome import Outcome, OutcomeClass
from amends.store import cursors, inbox, incidents, journeys, webhook_events
from amends.store.engine import Tx
from amends.store.webhook_events import Event, EventState, Fate
from connectors.errors import NeedsHuman, VendorUnavailable
from connectors.events import Rated
from connectors.zalo.events import read_event
from tasks.intake import take_in
from tasks.ratings import as_feedback, survey_source
from tasks.sweep import Sweep, at_account

POLL_OVERLAP = timedelta(hours=2)
"""A rating may appear in the vendor's list later than its own time says; windows overlap, the inbox dedupes."""
FIRST_POLL = timedelta(days=7)
NEWS = timedelta(minutes=2)
"""For so long an announced rating is worth a poll of its own; after that the regular ones will do."""
GIVE_UP_AFTER = timedelta(hours=24)
"""How long an announced rating may wait for a poll to tell whose it is."""


async def poll_ratings(sweep: Sweep) -> None:
    """Ask for the answers to every rating template of the journey since the last time, with an overlap."""
    if "zns" not in sweep.connectors.ratings:
        return
    now = sweep.now()
    for template_id, source in _templates(sweep).items():
        if await _poll(sweep, template_id, source, _since(sweep, template_id)) is not None:
            with sweep.store.begin() as tx:
                cursors.put(tx, _cursor(sweep, template_id), now.astimezone(UTC).isoformat())
    _settle_announced(sweep)


async def poll_back(sweep: Sweep) -> Counter[str]:
    """Ask for the answers of the days before those the regular poll asks for; returns what it had missed, by source."""
    missed: Counter[str] = Counter()
    if "zns" in sweep.connectors.ratings:
        for template_id, source in _templates(sweep).items():
            start, end = sweep.now() - sweep.read_back, _since(sweep, template_id)
            if start < end and (new := await _poll(sweep, template_id, source, start, end)):
                missed[source] += new
    return missed


def _cursor(sweep: Sweep, template_id: str) -> str:
    return f"ratings:{sweep.journey.name}:{template_id}"


def _since(sweep: Sweep, template_id: str) -> datetime:
    """Where the regular poll of a template goes on."""
    with sweep.store.read() as tx:
        stored = cursors.get(tx, _cursor(sweep, template_id))
    return datetime.fromisoformat(stored) - POLL_OVERLAP if stored else sweep.now() - FIRST_POLL


async def poll_announced(sweep: Sweep) -> None:
    """Fetch at once the ratings that webhooks have just announced: those name no template, only a poll does."""
    if "zns" not in sweep.connectors.ratings:
        return
    news = [event for event in _announced(sweep) if _is_news(event, sweep)]
    if not news:
        return
    sweep.asked_for.update(event.key for event in news)
    since = min(event.occurred_at for event in news) - timedelta(minutes=5)
    for template_id, source in _templates(sweep).items():
        await _poll(sweep, template_id, source, since)
    _settle_announced(sweep)


def has_news(tx: Tx, sweep: Sweep) -> bool:
    """Whether a webhook has announced a rating that `poll_announced` has not asked for yet."""
    newest = webhook_events.newest_waiting(tx, f"zalo:{sweep.journey.zalo_account}")
    return newest is not None and _is_news(newest, sweep) and newest.key not in sweep.asked_for


def _is_news(event: Event, sweep: Sweep) -> bool:
    return sweep.now() - event.received_at < NEWS


async def _poll(
    sweep: Sweep, template_id: str, source: str, since: datetime, until: datetime | None = None
) -> int | None:
    """Take in the answers of one template, up to now; how many were new.

    None, and told to operators, when they could not be read.
    """
    try:
        answers = await sweep.connectors.ratings["zns"].ratings(template_id, since, until or sweep.now())
    except VendorUnavailable as trouble:
        sweep.tally("detect").reasons[mask(str(trouble))] += 1
        if isinstance(trouble, NeedsHuman):
            _raise_incident(sweep, trouble)
        return None
    incident = _incident(sweep)
    if incident in sweep.troubled:
        with sweep.store.begin() as tx:
            incidents.resolve(tx, incident, sweep.now())
        sweep.troubled.discard(incident)
    return take_in(sweep, [as_feedback(answer, source) for answer in answers])


def _raise_incident(sweep: Sweep, trouble: NeedsHuman) -> None:
    outcome = Outcome(OutcomeClass.NEEDS_HUMAN, code=trouble.code, detail=trouble.detail)
    with sweep.store.begin() as tx:
        incidents.report(tx, _incident(sweep), {trouble.code: (outcome, 1)}, sweep.now())
    sweep.troubled.add(_incident(sweep))


def _incident(sweep: Sweep) -> str:
    return at_account("zns ratings", sweep.journey.zalo_account)


def _templates(sweep: Sweep) -> dict[str, str]:
    """Template id to source name: every survey template that may be answered, and the journey's rating sources."""
    longest = timedelta(hours=sweep.journey.survey.answer_window_hours) + timedelta(days=30)
    with sweep.store.read() as tx:
        versions = journeys.recent(tx, sweep.journey.name, sweep.now() - longest)
        messages: list[CustomerMessage] = [sweep.version(tx, id_).survey.message for id_ in versions]
    ours = {template.template_id for message in messages for template in message.zns.values()}
    # A survey's answer has one source whichever way it comes, so a webhook and a poll bring one feedback.
    templates = {template_id: survey_source(template_id) for template_id in sorted(ours)}
    for source in sweep.journey.sources:
        if isinstance(source, ZnsRatingSource):
            templates.setdefault(source.template_id, source.name)
    return templates


def _announced(sweep: Sweep) -> list[Event]:
    with sweep.store.read() as tx:
        return webhook_events.waiting(tx, f"zalo:{sweep.journey.zalo_account}")


def _settle_announced(sweep: Sweep) -> None:
    """Tick off the announced ratings that a poll has brought by now, and give up on old ones."""
    events, now = _announced(sweep), sweep.now()
    if not events:
        return
    sources = sorted(set(_templates(sweep).values()))
    with sweep.store.begin() as tx:
        msg_ids = {event.key: _msg_id(event, now) for event in events}
        arrived = inbox.known(tx, [id_ for id_ in msg_ids.values() if id_], sources)
        fates = []
        for event in events:
            if msg_ids[event.key] in arrived:
                fates.append(Fate(event.door, event.key, EventState.DONE, "brought by the poll it announced"))
            elif now - event.received_at > GIVE_UP_AFTER:
                told = "no journey here polls the template it answers"
                fates.append(Fate(event.door, event.key, EventState.IGNORED, told))
        webhook_events.settle(tx, fates)


def _msg_id(event: Event, now: datetime) -> str | None:
    fact = read_event(event.payload, None, now).fact
    return fact.answer.msg_id if isinstance(fact, Rated) else None
