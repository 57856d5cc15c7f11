"""POST /message/template without the HTTP: read the request, decide its fate, enter it in the book."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox import oauth, people
from sandbox.chance import digest
from sandbox.clock import epoch_ms
from sandbox.errors import Refusal, refuse
from sandbox.magic import MAGIC
from sandbox.state import OA_ID, RatingRow, Round, State, is_night
from sandbox.templates import TEMPLATES, Template, check_params

# Zalo's pages also list 0xxx and bare numbers, uncertainly; the sandbox is strict so that clients are safe.
_PHONE = re.compile(r"\+?(84[35789]\d{8})")
_SCALE_POINTS = {"five_stars": 5, "three_emotions": 3}


@dataclass(frozen=True, slots=True)
class Sent:
    """An accepted message, as the envelope's `data` tells it."""

    phone: str
    data: dict[str, Any]


def send(state: State, access_token: str | None, proof: str | None, raw: bytes) -> Sent | Refusal:
    """Accept or refuse one message; either way it is in the book when this returns."""
    now = state.clock.now()
    body = _read(raw)
    request = body if isinstance(body, dict) else {}
    refusal = token_refusal(state, access_token, proof, now)
    if refusal is None:
        refusal = body if isinstance(body, Refusal) else _refusal(state, body, now)
    if refusal is not None:
        state.book.enter("zns_refused", now, {**_facts(request), "msg_id": None, "code": refusal.code})
        return refusal
    return _accept(state, request, now)


def token_refusal(state: State, access_token: str | None, proof: str | None, now: datetime) -> Refusal | None:
    """-124 for a missing, replaced or expired access token, -1241 for a wrong `appsecret_proof`."""
    if access_token is None or not state.tokens.valid(access_token, now):
        return refuse(-124)
    if proof is not None and proof != oauth.proof(access_token):
        return refuse(-1241)
    return None


def template_refusal(state: State, template_id: str) -> Refusal | None:
    """-109 unknown, -131 not approved, -146 disabled."""
    template = TEMPLATES.get(template_id)
    if template is None:
        return refuse(-109)
    status = state.switches.template_status.get(template_id, template.status)
    return None if status == "ENABLE" else refuse(-146 if status == "DISABLE" else -131)


def _read(raw: bytes) -> dict[str, Any] | Refusal:
    if not raw.strip():
        return refuse(-121)
    try:
        body = json.loads(raw)
    except ValueError:
        return refuse(-122)
    return body if isinstance(body, dict) else refuse(-122)


def _refusal(state: State, body: dict[str, Any], now: datetime) -> Refusal | None:
    """The first rule the request breaks. Zalo does not document its order; ours goes from form to person."""
    phone = _phone(body)
    if phone is None:
        return refuse(-108)
    template_id, data = str(body.get("template_id", "")), body.get("template_data")
    if (refusal := template_refusal(state, template_id)) is not None:
        return refusal
    if not data:
        return refuse(-111)
    if not isinstance(data, dict):
        return refuse(-112)
    template = TEMPLATES[template_id]
    return (
        check_params(template, data)
        or _mode_refusal(template, phone, body)
        or _account_refusal(state, now)
        or _person_refusal(state, phone)
    )


def _mode_refusal(template: Template, phone: str, body: dict[str, Any]) -> Refusal | None:
    mode = str(body.get("sending_mode") or "1")
    if mode not in ("1", "3"):
        return refuse(-161)
    if mode == "3" and template.tag != "PROMOTION":
        return refuse(-162)
    is_admin = phone in MAGIC and MAGIC[phone].admin
    return refuse(-127) if body.get("mode") == "development" and not is_admin else None


def _account_refusal(state: State, now: datetime) -> Refusal | None:
    if state.switches.refuse_sends_with is not None:
        return refuse(state.switches.refuse_sends_with)
    # Every template of ours has tag 2 or 3, so the night rule needs no look at the tag.
    if state.switches.night_rule and is_night(now):
        return refuse(-133)
    return refuse(-144) if state.quota_left(now) <= 0 else None


def _person_refusal(state: State, phone: str) -> Refusal | None:
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


def _accept(state: State, body: dict[str, Any], now: datetime) -> Sent:
    facts = _facts(body)
    phone, template_id, tracking_id = facts["phone"], facts["template_id"], facts["tracking_id"]
    # The same tracking id sends again, as at Zalo; only the copy's number tells the two apart.
    identity = (phone, template_id, tracking_id)
    state.copies[identity] += 1
    msg_id = digest(state.seed, "msg", *identity, state.copies[identity], size=10).hex()
    state.book.enter("zns", now, {**facts, "msg_id": msg_id, "code": None})
    state.use_quota(now)
    template = TEMPLATES[template_id]
    if template.option:
        _ask_for_rating(state, template, facts, msg_id, now)
    return Sent(
        phone,
        {
            "msg_id": msg_id,
            "sent_time": str(epoch_ms(now)),
            "sending_mode": str(body.get("sending_mode") or "1"),
            "quota": {
                "dailyQuota": str(state.switches.daily_quota),
                "remainingQuota": str(max(0, state.quota_left(now))),
            },
        },
    )


def _ask_for_rating(
    state: State, template: Template, facts: dict[str, Any], msg_id: str, now: datetime
) -> None:
    phone, case_code = facts["phone"], facts["params"]["case_code"]
    survey = state.rounds.setdefault((phone, case_code), Round())
    if survey.answered_at is not None and survey.answered_at <= now:
        survey = state.rounds[phone, case_code] = Round(survey.number + 1)
    survey.asks += 1
    answer = people.answer(
        state.seed, phone, case_code, survey.number, survey.asks, _SCALE_POINTS[template.option]
    )
    if answer is None:
        return
    survey.answered_at = now + answer.after
    submit_ms = epoch_ms(survey.answered_at)
    row = {
        "rating_type": "csat",
        "option": template.option,
        "note": answer.note,
        "rate": answer.rate,
        "submitDate": str(submit_ms),
        "msgId": msg_id,
        "feedbacks": list(answer.feedbacks),
        "trackingId": facts["tracking_id"],
        "oaId": OA_ID,
    }
    state.add_rating(template.id, RatingRow(submit_ms, msg_id, row))


def _phone(body: dict[str, Any]) -> str | None:
    match = _PHONE.fullmatch(str(body.get("phone", "")))
    return match[1] if match else None


def _facts(body: dict[str, Any]) -> dict[str, Any]:
    """What the book says of any request, sound or not."""
    template_id = str(body.get("template_id", ""))
    template = TEMPLATES.get(template_id)
    return {
        "phone": _phone(body) or str(body.get("phone", "")),
        "template_id": template_id,
        "template_type": template.kind if template else None,
        "tracking_id": str(body.get("tracking_id") or ""),
        "params": body.get("template_data") or {},
    }
