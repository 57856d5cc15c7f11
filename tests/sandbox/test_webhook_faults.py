"""Webhooks that a fault script spoils: each fault, and what Zalo repeats afterwards."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.sandbox.client import Caller
from tests.sandbox.receiver import SECRET, Receiver, receiving

FRIEND, WORST = "84900000000", "84900000001"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def receiver(caller: Caller) -> Iterator[Receiver]:
    with receiving() as receiver:
        caller.sandbox.webhooks(receiver.url)
        yield receiver


def strike(caller: Caller, fault: str, **rule: object) -> None:
    caller.sandbox.set_faults([{"on": "webhook", "fault": fault, **rule}])


def test_a_duplicate_comes_twice_alike(caller: Caller, receiver: Receiver, morning: datetime) -> None:
    strike(caller, "duplicate")
    caller.send(FRIEND)
    caller.sandbox.set_clock(morning + MINUTE)
    caller.sandbox.set_clock(morning + 3 * HOUR)

    first, second = receiver.received
    assert first.raw == second.raw
    assert [entry["attempt"] for entry in caller.sandbox.book(kind="webhook", fault="duplicate")] == [1, 1]


def test_a_dropped_one_never_comes_and_is_entered_as_lost(
    caller: Caller, receiver: Receiver, morning: datetime
) -> None:
    strike(caller, "dropped", event="user_received_message")
    msg_id = caller.send(WORST, "320001")["data"]["msg_id"]
    caller.sandbox.set_clock(morning + 3 * HOUR)

    assert receiver.names == ["user_feedback"]
    (lost,) = caller.sandbox.book(kind="webhook_lost")
    assert (lost["event"], lost["msg_id"], lost["reason"]) == ("user_received_message", msg_id, "dropped")


def test_a_late_one_comes_later(caller: Caller, receiver: Receiver, morning: datetime) -> None:
    strike(caller, "late", seconds=600)
    caller.send(FRIEND)
    caller.sandbox.set_clock(morning + MINUTE)
    assert receiver.received == []
    caller.sandbox.set_clock(morning + 11 * MINUTE - timedelta(milliseconds=1))
    assert receiver.received == []
    caller.sandbox.set_clock(morning + 11 * MINUTE)
    assert receiver.names == ["user_received_message"]


@pytest.mark.parametrize("leaps", [(MINUTE, HOUR), (HOUR,)])
def test_a_reordered_one_comes_after_the_next_of_its_message(
    caller: Caller, receiver: Receiver, morning: datetime, leaps: tuple[timedelta, ...]
) -> None:
    strike(caller, "reordered", times=1)
    caller.send(WORST, "320001")
    for leap in leaps:
        caller.sandbox.set_clock(morning + leap)
    assert receiver.names == ["user_feedback", "user_received_message"]
    caller.sandbox.set_clock(morning + 5 * HOUR)
    assert len(receiver.received) == 2


def test_a_reordered_one_that_nothing_follows_comes_after_2_hours(
    caller: Caller, receiver: Receiver, morning: datetime
) -> None:
    strike(caller, "reordered")
    caller.send(FRIEND)
    caller.sandbox.set_clock(morning + MINUTE)
    caller.sandbox.set_clock(morning + 2 * HOUR)
    assert receiver.received == []
    caller.sandbox.set_clock(morning + 2 * HOUR + MINUTE)
    assert receiver.names == ["user_received_message"]


def test_a_forged_one_has_a_wrong_signature_and_what_follows_a_refusal_a_right_one(
    caller: Caller, receiver: Receiver, morning: datetime
) -> None:
    strike(caller, "forged")
    receiver.status = 401
    caller.send(FRIEND)
    caller.sandbox.set_clock(morning + MINUTE)
    receiver.status = 200
    caller.sandbox.set_clock(morning + 2 * MINUTE)

    forged, sound = receiver.received
    assert not forged.signed_with(SECRET)
    assert sound.signed_with(SECRET)
    assert [entry["fault"] for entry in caller.sandbox.book(kind="webhook")] == ["forged", None]


def test_a_stale_one_is_a_day_old_and_well_signed(
    caller: Caller, receiver: Receiver, morning: datetime
) -> None:
    strike(caller, "stale")
    caller.send(FRIEND)
    caller.sandbox.set_clock(morning + MINUTE)
    (told,) = receiver.received
    assert told.signed_with(SECRET)
    assert int(told.body["timestamp"]) == int((morning + MINUTE - timedelta(days=1)).timestamp() * 1000)


def test_a_truncated_one_breaks_off_and_comes_again_whole(
    caller: Caller, receiver: Receiver, morning: datetime
) -> None:
    strike(caller, "truncated")
    caller.send(FRIEND)
    caller.sandbox.set_clock(morning + MINUTE)
    assert receiver.received == []
    (entry,) = caller.sandbox.book(kind="webhook")
    assert (entry["status"], entry["error"]) == (None, "truncated")

    caller.sandbox.set_clock(morning + 2 * MINUTE)
    assert receiver.cut == 1
    assert receiver.names == ["user_received_message"]


def test_an_oversized_one_is_2_mib_and_well_signed(
    caller: Caller, receiver: Receiver, morning: datetime
) -> None:
    strike(caller, "oversized")
    receiver.status = 413
    caller.send(FRIEND)
    caller.sandbox.set_clock(morning + MINUTE)
    receiver.status = 200
    caller.sandbox.set_clock(morning + 2 * MINUTE)
    large, sound = receiver.received
    assert len(large.raw) > 2 * 1024 * 1024
    assert large.signed_with(SECRET)
    assert len(sound.raw) < 1_000


def test_one_without_tracking_id_stays_so_when_repeated(
    caller: Caller, receiver: Receiver, morning: datetime
) -> None:
    strike(caller, "no_tracking_id", event="user_feedback")
    caller.send(WORST, "320001", tracking_id="s_1")
    receiver.status = 500
    caller.sandbox.set_clock(morning + HOUR)
    receiver.status = 200
    caller.sandbox.set_clock(morning + 2 * HOUR)
    ids = [(each.name, each.body["message"]["tracking_id"]) for each in receiver.received]
    assert sorted(ids) == [("user_feedback", "")] * 2 + [("user_received_message", "s_1")] * 2


def test_each_event_is_one_turn_of_the_script(caller: Caller, receiver: Receiver, morning: datetime) -> None:
    strike(caller, "dropped", every=2)
    receiver.status = 500
    for _ in range(4):
        caller.send(FRIEND)
    caller.sandbox.set_clock(morning + MINUTE)
    receiver.status = 200
    caller.sandbox.set_clock(morning + 2 * MINUTE)
    assert caller.sandbox.faults()[0]["matched"] == 4
    assert len(caller.sandbox.book(kind="webhook", status="200")) == 2
    assert len(caller.sandbox.book(kind="webhook_lost")) == 2
