"""What to do with one case at one step: pure decisions, made late, with a reason for everything not done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache

from babel.dates import format_date
from babel.numbers import format_decimal

from amends.domain.case import Case, ZaloUser
from amends.domain.effects import Effect, EffectState, Policy
from amends.domain.journey.base import Language
from amends.domain.journey.complaint import ComplaintJourney
from amends.domain.journey.messages import CustomerMessage
from amends.domain.messages import render
from amends.domain.outcome import OutcomeClass


@dataclass(frozen=True, slots=True)
class Send:
    """Send this now, over this channel, under this ordinal of the step."""

    channel: str
    ordinal: int
    policy: Policy
    contact: str | None = None
    zalo_uid: str | None = field(default=None, repr=False)
    template_id: str | None = None
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    subject: str = field(default="", repr=False)
    body: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Postpone:
    """Not now; look again at `until`. A routine wait is worth no line on the timeline."""

    until: datetime
    reason: str
    routine: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """This step is over without sending (anything more). `result` is one word, `reason` a sentence."""

    result: str
    reason: str


Decision = Send | Postpone | Finish


def message_variables(case: Case, journey: ComplaintJourney, language: Language) -> dict[str, str]:
    """The variables every text may use."""
    stranger = "Quý khách" if language is Language.VI else "Customer"
    return {
        "customer_name": (case.customer.name or stranger)[:30],
        "case_code": case.code,
        "brand": journey.brand,
        "branch": case.branch or "",
        "product": (case.product or "")[:60],
        "stars": str(case.stars),
    }


def voucher_variables(
    code: str, value_vnd: int, expires_at: datetime, journey: ComplaintJourney
) -> dict[str, str]:
    """The variables of a voucher; the date is the brand's, written the way ZNS takes it (dd/mm/yyyy)."""
    return {
        "voucher_code": code,
        "voucher_value": _dong(value_vnd),
        "voucher_expires": _day(expires_at.astimezone(journey.zone).date()),
    }


# The vouchers of a sweep are worth the same and end on a day or two.
@lru_cache(maxsize=64)
def _dong(vnd: int) -> str:
    return f"{format_decimal(vnd, locale='vi_VN')}đ"


@lru_cache(maxsize=64)
def _day(day: date) -> str:
    return format_date(day, "dd/MM/yyyy", locale="vi_VN")


def language_of(case: Case, journey: ComplaintJourney) -> Language:
    """The customer's language when we have texts for it in principle, else the journey's."""
    try:
        return Language(case.customer.language or journey.language)
    except ValueError:
        return journey.language


def message_customer(
    case: Case,
    effects: Sequence[Effect],
    journey: ComplaintJourney,
    message: CustomerMessage,
    *,
    ordinal: int,
    now: datetime,
    extra: Mapping[str, str] | None = None,
    give_up_after: timedelta | None = None,
    since: datetime | None = None,
    even_if_closed: bool = False,
) -> Decision:
    """Choose channel and text for one message to the customer, or say why not (yet).

    Suppression comes first (closed, opted out, cap, quiet hours), then the fallback chain: the first channel that
    has an address and has not refused this message. One that was tried and waits for another try is gone on with
    before all others. While an earlier try is uncertain no other channel is used; nor after one was cancelled,
    unless somebody has put another one back.
    """
    mine = {effect.channel: effect for effect in effects if effect.ordinal == ordinal}
    if any(effect.state is EffectState.UNCERTAIN for effect in mine.values()):
        return Finish(
            "uncertain", "the call may have left and the vendor offers no proof; an operator settles it"
        )
    if accepted := next((e for e in mine.values() if e.state is EffectState.ACCEPTED), None):
        return Finish("sent", f"accepted by {accepted.channel}")
    waiting = {effect.channel for effect in mine.values() if effect.state is EffectState.WAITING}
    cancelled = {effect.channel for effect in mine.values() if effect.state is EffectState.CANCELLED}
    if cancelled and not waiting:
        return Finish("cancelled", f"{min(cancelled)} was cancelled, and no other channel is tried")
    if case.closed_at is not None and not even_if_closed:
        return Finish("suppressed", "the case is closed")
    if case.customer.opted_out_at is not None:
        return Finish("suppressed", "the customer has opted out")
    if give_up_after is not None and now - (since or case.opened_at) > give_up_after:
        return Finish(
            "suppressed", f"too late: more than {give_up_after.total_seconds() / 3600:g} hours have passed"
        )
    if case.customer.recent_messages >= journey.message_cap.messages:
        return Finish(
            "suppressed", f"message cap: {journey.message_cap.messages} in {journey.message_cap.days} days"
        )

    language = language_of(case, journey)
    variables = {**message_variables(case, journey, language), **(extra or {})}
    tried: list[str] = []
    for channel in sorted(journey.channels, key=lambda channel: channel not in waiting):
        if channel in cancelled:
            tried.append(f"{channel}: cancelled")
            continue
        if (refused := mine.get(channel)) and refused.state is EffectState.REFUSED:
            if refused.outcome_class is OutcomeClass.PAYLOAD_REFUSED:
                return Finish(
                    "refused", f"{channel} refused the message itself (code {refused.code or 'unknown'})"
                )
            tried.append(f"{channel}: code {refused.code or 'unknown'}")
            continue
        send = _compose(channel, case, journey, message, language, variables, ordinal, now)
        if send is None:
            tried.append(f"{channel}: no address or no text")
            continue
        quiet_until = journey.quiet.next_allowed(now)
        if quiet_until > now:
            return Postpone(quiet_until, "quiet hours")
        return send
    return Finish("unreachable", "; ".join(tried))


def may_chat(user: ZaloUser, journey: ComplaintJourney, now: datetime) -> bool:
    """Whether the customer's last interaction is recent enough for a consultation message (Zalo's window)."""
    if user.left_at is not None or user.last_interaction_at is None:
        return False
    return now - user.last_interaction_at < timedelta(hours=journey.zalo_chat_hours)


def _compose(
    channel: str,
    case: Case,
    journey: ComplaintJourney,
    message: CustomerMessage,
    language: Language,
    variables: Mapping[str, str],
    ordinal: int,
    now: datetime,
) -> Send | None:
    """The message for one channel; None when the customer has no address there or the journey no text."""
    user = case.customer.zalo_user(journey.zalo_account)
    uid = user.uid if user else None
    if channel == "zns" and (case.customer.phone or uid) and message.zns:
        template = message.zns.get(language) or message.zns.get(journey.language)
        if template is None:
            return None
        params = {name: render(text, variables) for name, text in template.params.items()}
        return Send(
            "zns",
            ordinal,
            Policy.AT_MOST_ONCE,
            zalo_uid=uid,
            template_id=template.template_id,
            params=params,
        )
    if channel == "zalo_chat" and user and may_chat(user, journey, now) and message.zalo_chat:
        chat = message.zalo_chat.get(language) or message.zalo_chat.get(journey.language)
        if chat is None:
            return None
        return Send(
            "zalo_chat", ordinal, Policy.AT_MOST_ONCE, zalo_uid=uid, body=render(chat.text, variables)
        )
    if channel == "email" and case.customer.email and message.email:
        text = message.email.get(language) or message.email.get(journey.language)
        if text is None:
            return None
        subject, body = render(text.subject, variables), render(text.body, variables)
        return Send("email", ordinal, Policy.AT_MOST_ONCE, subject=subject, body=body)
    return None
