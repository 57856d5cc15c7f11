import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from sandbox import people
from tests.sandbox.client import CARE, Caller

WORST, BEST, SILENT = "84900000001", "84900000005", "84900000000"
HOUR = timedelta(hours=1)
LATER = timedelta(hours=24)


def ask(caller: Caller, phone: str, case_code: str, template_id: str = "320001") -> str:
    data = {**CARE, "case_code": case_code}
    answer = caller.send(phone, template_id, template_data=data, tracking_id=f"s_{case_code}")
    return str(answer["data"]["msg_id"])


def test_an_answer_becomes_visible_when_it_is_submitted(caller: Caller, morning: datetime) -> None:
    msg_id = ask(caller, WORST, "C-1")

    caller.sandbox.set_clock(morning + HOUR - timedelta(milliseconds=1))
    assert caller.ratings("320001", morning, morning + LATER) == {"total": 0, "data": []}

    caller.sandbox.set_clock(morning + HOUR)
    assert caller.ratings("320001", morning, morning + LATER) == {
        "total": 1,
        "data": [
            {
                "rating_type": "csat",
                "option": "five_stars",
                "note": "",
                "rate": 1,
                "submitDate": str(int((morning + HOUR).timestamp() * 1000)),
                "msgId": msg_id,
                "feedbacks": [],
                "trackingId": "s_C-1",
                "oaId": "sandbox-oa",
            }
        ],
    }


def test_the_best_mark_is_3_on_three_emotions(caller: Caller, morning: datetime) -> None:
    ask(caller, BEST, "C-1", "320003")
    ask(caller, BEST, "C-2", "320001")
    caller.sandbox.set_clock(morning + LATER)

    (emotions,) = caller.ratings("320003", morning, morning + LATER)["data"]
    (stars,) = caller.ratings("320001", morning, morning + LATER)["data"]
    assert (emotions["option"], emotions["rate"]) == ("three_emotions", 3)
    assert (stars["option"], stars["rate"]) == ("five_stars", 5)


def test_both_ends_of_the_window_belong_to_it(caller: Caller, morning: datetime) -> None:
    ask(caller, WORST, "C-1")
    caller.sandbox.set_clock(morning + LATER)
    answered, moment = morning + HOUR, timedelta(milliseconds=1)

    def total(since: datetime, until: datetime) -> Any:
        return caller.ratings("320001", since, until)["total"]

    assert total(answered, answered) == 1
    assert total(morning, answered - moment) == 0
    assert total(answered + moment, morning + LATER) == 0


def test_pages_partition_the_window_in_order_of_submission(caller: Caller, morning: datetime) -> None:
    sent = []
    for minute in range(7):
        caller.sandbox.set_clock(morning + timedelta(minutes=minute))
        sent.append(ask(caller, BEST, f"C-{minute}"))
    caller.sandbox.set_clock(morning + LATER)

    pages = [
        caller.ratings("320001", morning, morning + LATER, offset=offset, limit=3) for offset in (0, 3, 6, 9)
    ]

    assert [page["total"] for page in pages] == [7] * 4
    assert [len(page["data"]) for page in pages] == [3, 3, 1, 0]
    assert [row["msgId"] for page in pages for row in page["data"]] == sent


def test_get_and_post_are_alike(caller: Caller, morning: datetime) -> None:
    ask(caller, WORST, "C-1")
    caller.sandbox.set_clock(morning + LATER)
    query = {
        "template_id": "320001",
        "from_time": int(morning.timestamp() * 1000),
        "to_time": int((morning + LATER).timestamp() * 1000),
        "offset": 0,
        "limit": 100,
    }

    by_get, by_post = (caller.call(method, "/rating/get", params=query) for method in ("GET", "POST"))

    assert by_get == by_post
    assert by_get["data"]["total"] == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"template_id": "310001"}, -109),
        ({"template_id": "1"}, -109),
        ({"limit": "0"}, -132),
        ({"limit": "10001"}, -132),
        ({"offset": "-1"}, -132),
        ({"from_time": "yesterday"}, -132),
        ({"from_time": "3", "to_time": "2"}, -132),
    ],
)
def test_bad_queries_are_refused(caller: Caller, changes: dict[str, str], code: int) -> None:
    query = {
        "template_id": "320001",
        "from_time": "1",
        "to_time": "2",
        "offset": "0",
        "limit": "10",
        **changes,
    }
    assert caller.call("GET", "/rating/get", params=query)["error"] == code
    assert caller.call("GET", "/rating/get", params={"template_id": "320001"})["error"] == -132


def test_someone_who_answered_does_not_answer_the_reminder_but_the_next_survey(
    caller: Caller, morning: datetime
) -> None:
    first = ask(caller, BEST, "C-1")
    ask(caller, BEST, "C-1")
    caller.sandbox.set_clock(morning + 2 * HOUR)
    second_round = ask(caller, BEST, "C-1")
    ask(caller, SILENT, "C-1")
    caller.sandbox.set_clock(morning + LATER)

    rows = caller.ratings("320001", morning, morning + LATER)["data"]

    assert [row["msgId"] for row in rows] == [first, second_round]


def test_shuffled_order_changes_nothing_but_the_order(caller: Caller, morning: datetime) -> None:
    asks = [
        (phone, f"C-{n}", template)
        for n in range(60)
        for template in ("320001", "310001")
        if (phone := people.customer_phone(7, f"order-{n // 2}"))
    ]
    shuffled = random.Random(1).sample(asks, len(asks))

    results = [run(caller, order, morning) for order in (asks, shuffled)]

    assert results[0] == results[1]
    accepted, refused, ratings = results[0]
    assert len(accepted) + len(refused) == len(asks)
    assert len(ratings) > 10
    assert refused


def run(caller: Caller, asks: list[tuple[str, str, str]], morning: datetime) -> tuple[Any, Any, Any]:
    """What the vendor did with these messages, without the order of arrival."""
    caller.sandbox.reset()
    caller.refresh_token = "sandbox-refresh-token"
    caller.log_in()
    for phone, case_code, template_id in asks:
        caller.send(
            phone, template_id, template_data={**CARE, "case_code": case_code}, tracking_id=f"k_{case_code}"
        )
    caller.sandbox.set_clock(morning + timedelta(hours=24))
    book = caller.sandbox.book()
    accepted = {(entry["msg_id"], entry["tracking_id"]) for entry in book if entry["kind"] == "zns"}
    refused = sorted((entry["phone"], entry["code"]) for entry in book if entry["kind"] == "zns_refused")
    return accepted, refused, caller.ratings("320001", morning, morning + timedelta(hours=24))["data"]
