"""Reading Zalo's answers: pure functions from a JSON body to our words.

Numbers and times come as strings or as numbers, in either case: both are read. Times are epoch
milliseconds. Sources: developers.zalo.me ZBS Template Message pages, and public clients for what the
pages leave open; checked 2026-11-23 in stored copies.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from amends.domain.contacts import mask
from amends.domain.outcome import Outcome, OutcomeClass
from amends.domain.ratings import Scale
from connectors.ports import RatingAnswer
from connectors.zalo_codes import TEMPLATE_CODES, Window, classify, window

log = structlog.get_logger()

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
MORNING = time(6, 0)


@dataclass(frozen=True, slots=True)
class TemplateParam:
    """One variable of a ZNS template. `max_length` in characters, None when Zalo states none."""

    name: str
    type: str
    required: bool
    max_length: int | None


@dataclass(frozen=True, slots=True)
class TemplateInfo:
    """A ZNS template as registered. `status` is `ENABLE`, `PENDING_REVIEW`, `REJECT` or `DISABLE`."""

    template_id: str
    name: str
    status: str
    tag: str
    params: tuple[TemplateParam, ...]

    @property
    def enabled(self) -> bool:
        return self.status == "ENABLE"


@dataclass(frozen=True, slots=True)
class RatingPage:
    """One page of answers; `rows` counts all it held, readable or not; `total` is None when untold."""

    answers: tuple[RatingAnswer, ...]
    rows: int
    total: int | None


def read_outcome(body: Mapping[str, Any] | None, now: datetime) -> Outcome:
    """What a JSON answer of the business API means; `now` is aware UTC.

    A body without a readable `error` after a send may stand for anything: `UNCERTAIN`.
    """
    code = None if body is None else as_int(body.get("error"))
    if body is None or code is None:
        return Outcome(
            OutcomeClass.UNCERTAIN, code="no_envelope", detail="an answer without Zalo's error field"
        )
    cls, meaning = classify(code)
    said = mask(str(body.get("message") or ""))[:200]
    if cls is OutcomeClass.ACCEPTED:
        data = body.get("data")
        msg_id = data.get("msg_id") if isinstance(data, Mapping) else None
        return Outcome(cls, provider_id=str(msg_id) if msg_id else None, code=str(code))
    return Outcome(
        cls,
        code=str(code),
        detail=f"{meaning} (Zalo: {said})" if said else meaning,
        retry_at=opens_at(window(code), now) if cls is OutcomeClass.WAIT_FOR_WINDOW else None,
        stops="target" if code in TEMPLATE_CODES else "channel",
    )


def opens_at(which: Window, now: datetime) -> datetime:
    """The next opening of a window after `now`, in aware UTC.

    Zalo documents neither the zone of the night rule nor the hour when quotas start afresh; Vietnamese time
    and midnight are our reading. A wrong guess costs one refused call, as the answer is then the same again.
    """
    local = now.astimezone(VIETNAM)
    midnight = datetime.combine(local.date(), time(0), VIETNAM)
    if which is Window.MORNING:
        morning = datetime.combine(local.date(), MORNING, VIETNAM)
        return (morning if local < morning else morning + timedelta(days=1)).astimezone(UTC)
    if which is Window.NEXT_MONTH:
        return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1).astimezone(UTC)
    return (midnight + timedelta(days=1)).astimezone(UTC)


def read_rating_page(body: Mapping[str, Any]) -> RatingPage:
    """A page of `/rating/get`: rows at `data.data` or, in one public client, directly at `data`.

    A row that cannot be read is logged by its id and left out: one odd row must not stop all the others.
    """
    data = body.get("data")
    total = None
    if isinstance(data, Mapping):
        total, rows = as_int(data.get("total")), data.get("data")
    else:
        rows = data
    if not isinstance(rows, list):
        return RatingPage((), 0, total)
    answers = []
    for row in rows:
        answer = read_rating(row) if isinstance(row, Mapping) else None
        if answer is None:
            msg_id = row.get("msgId") if isinstance(row, Mapping) else None
            log.warning("zalo.ratings.row_unreadable", msg_id=str(msg_id) if msg_id else None)
        else:
            answers.append(answer)
    return RatingPage(tuple(answers), len(rows), total)


def read_rating(row: Mapping[str, Any]) -> RatingAnswer | None:
    """One row, or None when it lacks an id, a mark or a time. A row without `option` is of the older five
    star kind (the field is new in 2026)."""
    msg_id, rate, submitted = row.get("msgId"), as_int(row.get("rate")), as_int(row.get("submitDate"))
    if not msg_id or rate is None or submitted is None:
        return None
    try:
        submitted_at = datetime.fromtimestamp(submitted / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    quick = row.get("feedbacks")
    return RatingAnswer(
        msg_id=str(msg_id),
        tracking_id=str(row.get("trackingId") or ""),
        rate=rate,
        option=str(row.get("option") or Scale.FIVE_STARS.value),
        submitted_at=submitted_at,
        note=str(row.get("note") or ""),
        feedbacks=tuple(str(answer) for answer in quick) if isinstance(quick, list) else (),
    )


def read_template(body: Mapping[str, Any]) -> TemplateInfo | None:
    """The `data` of `/template/info/v2`, or None when it is not one."""
    data = body.get("data")
    if not isinstance(data, Mapping) or not data.get("templateId"):
        return None
    params = data.get("listParams")
    return TemplateInfo(
        template_id=str(data["templateId"]),
        name=str(data.get("templateName") or ""),
        status=str(data.get("status") or ""),
        tag=str(data.get("templateTag") or ""),
        params=tuple(
            TemplateParam(
                name=str(param["name"]),
                type=str(param.get("type") or "STRING"),
                required=str(param.get("require")).lower() in ("true", "1"),
                max_length=as_int(param.get("maxLength")),
            )
            for param in (params if isinstance(params, list) else [])
            if isinstance(param, Mapping) and param.get("name")
        ),
    )


def as_int(value: object) -> int | None:
    """Zalo's integers are ints, strings or, now and then, floats such as `5.0`; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
        # Straight from the text: a float has no room for long ids.
        return int(value) if not isinstance(value, float) and "." not in str(value) else int(number)
    except (ValueError, OverflowError):
        return None
