"""The decision of each step that sends something. Each is a pure function of the case, its effects and the time."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from amends.domain.case import Case, TicketState, in_holdout
from amends.domain.decision import Decision, Finish, Postpone, Send, message_customer
from amends.domain.effects import Effect, EffectState, Policy
from amends.domain.journey.complaint import ComplaintJourney
from amends.domain.sla import ClockKind, SlaClock, due_events, events_of, next_event_at, ordinal_of

APOLOGY_GIVES_UP_AFTER = timedelta(hours=72)
SURVEY_GIVES_UP_AFTER = timedelta(days=7)


def acknowledge(case: Case, effects: Sequence[Effect], journey: ComplaintJourney, now: datetime) -> Decision:
    """Apologise once, in the customer's language, on the first channel that reaches them."""
    return message_customer(
        case, effects, journey, journey.acknowledge, ordinal=0, now=now, give_up_after=APOLOGY_GIVES_UP_AFTER
    )


def notify_agent(
    case: Case, ordinal: int, effects: Sequence[Effect], journey: ComplaintJourney, now: datetime
) -> Decision:
    """Tell the assigned agent about the ticket of this cycle; better twice than never."""
    ticket = case.ticket
    if ticket is None or ticket.assignee is None:
        return Finish("skipped", "the ticket has no assignee")
    if ticket.cycle != ordinal or ticket.state is TicketState.SOLVED:
        return Finish("skipped", "the ticket has moved on")
    agent = journey.agent(ticket.assignee)
    if agent is None:
        return Finish("skipped", f"agent {ticket.assignee} is not in this version of the journey")
    subject = f"[{case.code}] {ticket.severity} ticket{_reopened(ordinal)}"
    return _tell_staff(agent.contact, ordinal, effects, subject, ticket.summary)


def watch_sla(
    case: Case, clock: SlaClock, effects: Sequence[Effect], journey: ComplaintJourney, now: datetime
) -> Decision:
    """Warn the agent before a target is missed, then climb the ladder after it is; each level once."""
    events = events_of(clock, [rung.after_minutes for rung in journey.sla.ladder], journey.calendar)
    done = _levels_done(clock, effects)
    ticket = case.ticket
    due = due_events(events, clock, now, done)
    if not due or ticket is None:
        upcoming = next_event_at(events, clock, now, done)
        if upcoming is None or ticket is None:
            return Finish(
                "watched", "the clock has stopped" if clock.met_at else "the ladder has been climbed"
            )
        return Postpone(upcoming, "on track", routine=True)
    level = due[0].level
    ordinal = ordinal_of(clock.kind, clock.cycle, level)
    target = "first response" if clock.kind is ClockKind.FIRST_RESPONSE else "resolution"
    deadline = f"{clock.due_at.astimezone(journey.zone):%d/%m/%Y %H:%M}"
    if level == 0:
        agent = journey.agent(ticket.assignee or "")
        contact = agent.contact if agent else journey.sla.ladder[0].contact if journey.sla.ladder else None
        subject = f"[{case.code}] {target} at risk{_reopened(clock.cycle)}"
        body = f"The {target} target of this {ticket.severity} ticket ends at {deadline}.\n\n{ticket.summary}"
    else:
        contact = journey.sla.ladder[level - 1].contact
        subject = f"[{case.code}] {target} missed, level {level}{_reopened(clock.cycle)}"
        body = f"The {target} of this {ticket.severity} ticket was due at {deadline}.\n\n{ticket.summary}"
    if contact is None:
        return Finish("skipped", "nobody to warn: the agent has left and there is no ladder")
    return _tell_staff(contact, ordinal, effects, subject, body)


def _reopened(cycle: int) -> str:
    """What tells the messages of a reopened ticket from those of its first time."""
    return f" (reopened {cycle}x)" if cycle else ""


def _levels_done(clock: SlaClock, effects: Sequence[Effect]) -> set[int]:
    base = ordinal_of(clock.kind, clock.cycle, 0)
    settled = (EffectState.ACCEPTED, EffectState.REFUSED, EffectState.CANCELLED)
    return {e.ordinal - base for e in effects if base <= e.ordinal < base + 10 and e.state in settled}


def _tell_staff(contact: str, ordinal: int, effects: Sequence[Effect], subject: str, body: str) -> Decision:
    told = next((effect for effect in effects if effect.ordinal == ordinal), None)
    if told is not None and told.state is EffectState.ACCEPTED:
        return Finish("sent", f"{contact} was told")
    if told is not None and told.state is EffectState.REFUSED:
        return Finish("refused", f"{contact} could not be told (code {told.code or 'unknown'})")
    if told is not None and told.state is EffectState.CANCELLED:
        return Finish("cancelled", f"the message to {contact} was cancelled")
    return Send("notify", ordinal, Policy.AT_LEAST_ONCE, contact=contact, subject=subject, body=body)


def survey(
    case: Case, ordinal: int, effects: Sequence[Effect], journey: ComplaintJourney, now: datetime
) -> Decision:
    """Ask how it went once the ticket of this cycle is solved."""
    ticket = case.ticket
    if ticket is None or ticket.state is not TicketState.SOLVED or ticket.cycle != ordinal:
        return Finish("skipped", "the ticket has been reopened")
    if not journey.survey.enabled:
        return Finish("suppressed", "this journey sends no surveys")
    if in_holdout(journey.name, "survey", case.id, journey.survey.holdout_percent):
        return Finish("suppressed", f"holdout of {journey.survey.holdout_percent:g} %")
    return message_customer(
        case,
        effects,
        journey,
        journey.survey.message,
        ordinal=ordinal,
        now=now,
        give_up_after=SURVEY_GIVES_UP_AFTER,
        since=ticket.solved_at,
    )


def remind(
    case: Case, ordinal: int, effects: Sequence[Effect], journey: ComplaintJourney, now: datetime
) -> Decision:
    """Ask once more, unless the answer has come."""
    result, ticket = case.survey, case.ticket
    if ticket is None or ticket.state is not TicketState.SOLVED or ticket.cycle != ordinal:
        return Finish("skipped", "the ticket has been reopened")
    if result is None or result.asked_at is None or result.answered_at is not None:
        return Finish("answered", "the survey is answered")
    if now >= result.asked_at + timedelta(hours=journey.survey.answer_window_hours):
        return Finish("skipped", "the answer window is over")
    return message_customer(case, effects, journey, journey.survey.message, ordinal=ordinal, now=now)


def reward(
    case: Case,
    effects: Sequence[Effect],
    journey: ComplaintJourney,
    now: datetime,
    voucher: Mapping[str, str],
) -> Decision:
    """Send the reserved voucher; `voucher` holds its variables.

    A case is closed after its reward, so one that an operator puts back goes out although the case is closed.
    """
    return message_customer(
        case,
        effects,
        journey,
        journey.reward.message,
        ordinal=0,
        now=now,
        extra=voucher,
        even_if_closed=True,
    )


def earns_voucher(case: Case, journey: ComplaintJourney) -> Finish | None:
    """None when the case earns a voucher, else why it does not."""
    if not journey.reward.enabled:
        return Finish("suppressed", "this journey gives no vouchers")
    if case.outcome not in journey.reward.outcomes:
        return Finish("skipped", f"no voucher for the outcome {case.outcome}")
    if in_holdout(journey.name, "reward", case.id, journey.reward.holdout_percent):
        return Finish("suppressed", f"holdout of {journey.reward.holdout_percent:g} %")
    return None
