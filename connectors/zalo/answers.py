"""Reading Zalo's answers: pure functions from a JSON body to our words.

Numbers and times come as strings or as numbers, in either case: both are read. Times are epoch
milliseconds. Sources: developers.zalo.me ZBS Template Message and Official Account pages, and public clients
for what the pages leave open; checked 2026-11-23 in stored copies.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from amends.domain.contacts import mask
from amends.domain.outcome import Outcome, OutcomeClass
from amends.domain.ratings import Scale
from connectors.ports import RatingAnswer
from connectors.zalo.codes import TEMPLATE_CODES, Api, Window, classify, window

log = structlog.get_logger()

LONGEST_MESSAGE_ID, LONGEST_RATED_ID = 100, 200
"""As long as the ledger and the inbox keep them."""
_BIGGEST = 2**63 - 1

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
MORNING, NIGHT = time(6, 0), time(22, 0)
_QUOTA_SURELY_NEW = time(8, 0)


@dataclass(frozen=True, slots=True)
class RatingPage:
    """One page of answers; `rows` counts all it held, readable or not; `total` is None when untold."""

    answers: tuple[RatingAnswer, ...]
    rows: int
    total: int | None


def read_outcome(
    body: Mapping[str, Any] | None, now: datetime, api: Api = Api.TEMPLATES, sent: Iterable[str] = ()
) -> Outcome:
    """What a JSON answer of one of Zalo's APIs means; `now` is aware UTC, `sent` what the answer must not repeat.

    A body without a readable `error` after a send may stand for anything: `UNCERTAIN`, with the message's id
    when it has one, so that its fate can be asked for.
    """
    provider_id = message_id(data_of(body))
    code = None if body is None else as_int(body.get("error"))
    if body is None or code is None:
        return Outcome(
            OutcomeClass.UNCERTAIN,
            provider_id=provider_id,
            code="no_envelope",
            detail="an answer without Zalo's error field",
        )
    cls, meaning = classify(code, api)
    if cls is OutcomeClass.ACCEPTED:
        return Outcome(cls, provider_id=provider_id, code=str(code))
    said = vendors_words(body.get("message"), sent)
    return Outcome(
        cls,
        code=str(code),
        detail=f"{meaning} (Zalo: {said})" if said else meaning,
        retry_at=opens_at(window(code), now) if cls is OutcomeClass.WAIT_FOR_WINDOW else None,
        stops="target" if code in TEMPLATE_CODES else "channel",
    )


def vendors_words(said: object, sent: Iterable[str]) -> str:
    """Zalo's own message as far as it can be shown: empty when it may repeat a customer's name or text.

    All documented messages are plain English; anything else, and anything that quotes what we sent, is left out.
    """
    text = mask(str(said or ""))[:200]
    repeats = any(len(part) > 2 and part.casefold() in text.casefold() for part in sent)
    return "" if repeats or not text.isascii() or not text.isprintable() else text


def texts_in(value: object) -> Iterator[str]:
    """Every text in a JSON value, apart from the names of its fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from texts_in(part)


def data_of(body: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The envelope's `data`, empty when it is no object."""
    data = None if body is None else body.get("data")
    return data if isinstance(data, Mapping) else {}


def message_id(data: Mapping[str, Any]) -> str | None:
    """Sends by phone are answered with `msg_id`, those to a user id with `message_id`; None for what is no id."""
    return _id(data.get("msg_id") or data.get("message_id"), LONGEST_MESSAGE_ID)


def _id(value: object, longest: int) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    text = str(value)
    # Cut, it would be another message's id.
    return text if 0 < len(text) <= longest and text.isprintable() and text != "0" else None


def opens_at(which: Window, now: datetime) -> datetime:
    """The next opening of a window after `now`, in aware UTC.

    Zalo documents neither the zone of the night rule nor the hour when quotas start afresh; Vietnamese time
    and midnight are our reading. Whoever still finds a daily quota used up after midnight asks again every
    hour until 08:00, past the other likely hour (midnight UTC, 07:00), instead of losing a day.
    """
    local = now.astimezone(VIETNAM)
    midnight = datetime.combine(local.date(), time(0), VIETNAM)
    if which is Window.MORNING:
        morning = datetime.combine(local.date(), MORNING, VIETNAM)
        return (morning if local < morning else morning + timedelta(days=1)).astimezone(UTC)
    if which is Window.NEXT_MONTH:
        return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1).astimezone(UTC)
    if local.time() < _QUOTA_SURELY_NEW:
        return (local + timedelta(hours=1)).astimezone(UTC)
    return (midnight + timedelta(days=1)).astimezone(UTC)


def is_night(now: datetime) -> bool:
    """22:00 to 06:00 in Viet Nam."""
    local = now.astimezone(VIETNAM).time()
    return local >= NIGHT or local < MORNING


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
        answer = None
        if isinstance(row, Mapping):
            answer = rating_answer(row, msg_id="msgId", submitted="submitDate", tracking_id="trackingId")
        if answer is None:
            msg_id = row.get("msgId") if isinstance(row, Mapping) else None
            log.warning("zalo.ratings.row_unreadable", msg_id=_id(msg_id, LONGEST_RATED_ID))
        else:
            answers.append(answer)
    return RatingPage(tuple(answers), len(rows), total)


def rating_answer(
    row: Mapping[str, Any], *, msg_id: str, submitted: str, tracking_id: str
) -> RatingAnswer | None:
    """One answer, or None when it lacks an id, a mark or a time. The names of three fields differ between the
    poll and the webhook. An answer without `option` is of the older five star kind (the field is new in 2026).
    """
    found, rate = _id(row.get(msg_id), LONGEST_RATED_ID), as_int(row.get("rate"))
    submitted_at = as_moment(row.get(submitted))
    if found is None or rate is None or submitted_at is None:
        return None
    quick = row.get("feedbacks")
    return RatingAnswer(
        msg_id=found,
        tracking_id=_id(row.get(tracking_id), LONGEST_MESSAGE_ID) or "",
        rate=rate,
        option=str(row.get("option") or Scale.FIVE_STARS.value),
        submitted_at=submitted_at,
        note=str(row.get("note") or ""),
        feedbacks=tuple(str(answer) for answer in quick) if isinstance(quick, list) else (),
    )


def as_int(value: object) -> int | None:
    """Zalo's integers are ints, strings or, now and then, floats such as `5.0`; None for anything else.

    None for what is beyond 64 bits as well: no code, mark, price or time is, and no column takes it.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        whole = float(value)  # raises for what is no number
        # Straight from the text: a float has no room for long ids.
        number = int(value) if not isinstance(value, float) and "." not in str(value) else int(whole)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= _BIGGEST else None


def as_moment(value: object) -> datetime | None:
    """Epoch milliseconds as aware UTC; None when it is no such number."""
    milliseconds = as_int(value)
    if milliseconds is None:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def as_flag(value: object) -> bool | None:
    """Zalo's truths are booleans, `"true"` or 1; None when untold."""
    text = str(value).strip().lower()
    return None if value is None or text == "" else text in ("true", "1")
