"""The rules by which Zalo refuses a template message, whichever road it comes by: phone, hash or user id."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox import oauth, people
from sandbox.errors import Refusal, refuse
from sandbox.magic import MAGIC
from sandbox.state import State, day_in_vietnam, is_night
from sandbox.templates import Template, check_params


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a message is for. `address` is the phone, hash or uid it was sent to, as the webhooks name it."""

    address: str
    phone: str | None
    """None for people whose phone the sandbox does not know; they can be reached."""
    uid: str | None = None
    """Set when the message goes by user id."""

    @property
    def person(self) -> str:
        """The same by every road, so that one person answers one survey."""
        return self.phone or self.address


def token_refusal(state: State, access_token: str | None, proof: str | None, now: datetime) -> Refusal | None:
    """-124 for a missing, replaced or expired access token, -1241 for a wrong `appsecret_proof`, -105 unlinked."""
    if access_token is None or not state.tokens.valid(access_token, now):
        return refuse(-124)
    if proof is not None and proof != oauth.proof(access_token):
        return refuse(-1241)
    return None if state.switches.oa_linked else refuse(-105)


def read_body(raw: bytes) -> dict[str, Any] | Refusal:
    """-121 for no body, -122 for anything but a JSON object."""
    if not raw.strip():
        return refuse(-121)
    try:
        body = json.loads(raw)
    except ValueError:
        return refuse(-122)
    return body if isinstance(body, dict) else refuse(-122)


def template_refusal(state: State, template_id: str) -> Refusal | None:
    """-109 unknown, -131 not approved, -146 disabled."""
    template = state.templates.get(template_id)
    if template is None:
        return refuse(-109)
    status = state.template_status(template)
    return None if status == "ENABLE" else refuse(-146 if status == "DISABLE" else -131)


def message_refusal(state: State, body: dict[str, Any], to: Recipient, now: datetime) -> Refusal | None:
    """The first rule the request breaks. Zalo does not document its order; ours goes from form to person."""
    template_id, data = str(body.get("template_id", "")), body.get("template_data")
    if (refusal := template_refusal(state, template_id)) is not None:
        return refusal
    if not data:
        return refuse(-111)
    if not isinstance(data, dict):
        return refuse(-112)
    template = state.templates[template_id]
    return (
        check_params(template, data)
        or _mode_refusal(template, to, body)
        or _account_refusal(state, template, to, now)
        or person_refusal(state, to.phone)
        or _cap_refusal(state, template, to.person, now)
    )


def person_refusal(state: State, phone: str | None) -> Refusal | None:
    """What the person's own fate says, magic or drawn."""
    if phone is None:
        return None
    magic = MAGIC.get(phone)
    if magic is None:
        code = people.unreachable_code(state.seed, phone)
        return None if code is None else refuse(code)
    if magic.fault == "http_503":
        return Refusal(503, "Service Unavailable")
    state.attempts[phone] += 1
    if magic.code is None or (magic.refusals is not None and state.attempts[phone] > magic.refusals):
        return None
    return refuse(magic.code)


def promotion_periods(now: datetime) -> tuple[str, str]:
    """The day and the month in Vietnam in which a promotion counts."""
    day = day_in_vietnam(now)
    return day, day[:7]


def _mode_refusal(template: Template, to: Recipient, body: dict[str, Any]) -> Refusal | None:
    mode = str(body.get("sending_mode") or "1")
    if mode not in ("1", "3"):
        return refuse(-161)
    if mode == "3" and template.tag != "PROMOTION":
        return refuse(-162)
    if body.get("mode") != "development":
        return None
    magic = MAGIC.get(to.phone or "")
    return None if magic is not None and magic.admin else refuse(-127)


def _account_refusal(state: State, template: Template, to: Recipient, now: datetime) -> Refusal | None:
    switches = state.switches
    if switches.refuse_sends_with is not None:
        return refuse(switches.refuse_sends_with)
    if switches.night_rule and template.tag != "TRANSACTION" and is_night(now):
        return refuse(-133)
    if switches.balance is not None and switches.balance < template.price(by_uid=to.uid is not None):
        return refuse(-137)
    return refuse(-144) if state.quota_left(now) <= 0 else None


def _cap_refusal(state: State, template: Template, person: str, now: datetime) -> Refusal | None:
    if template.tag != "PROMOTION":
        return None
    switches, (day, month) = state.switches, promotion_periods(now)
    daily, monthly = switches.promotions_per_user_per_day, switches.promotions_per_user_per_month
    if daily is not None and state.promotions[person, day] >= daily:
        return refuse(-1472)
    if monthly is not None and state.promotions[person, month] >= monthly:
        return refuse(-1471)
    return None
