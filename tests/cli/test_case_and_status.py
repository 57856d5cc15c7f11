"""`amends case` and `amends status` tell everything but who it is."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from amends.domain.journey import ComplaintJourney
from amends.store import webhook_events
from amends.store.engine import Store
from amends.store.schema import effects, incidents
from tests.cli.conftest import Invoke
from tests.conftest import MONDAY


async def test_a_case_by_either_number(amends: Invoke, one_case: ComplaintJourney) -> None:
    by_number, by_code = amends("case", "1", "--json"), amends("case", "AM000001", "--json")
    assert by_number.exit_code == 0, by_number.stderr
    assert by_number.stdout == by_code.stdout
    case = json.loads(by_number.stdout)
    assert case["customer"]["phone"] == "84912***678"
    assert case["customer"]["email"] == "l***@example.com"
    assert case["customer"]["name"] == "T.T.L."
    assert case["ratings"][0]["text"] == "Giao trễ 5 ngày, gọi lại 84912***678 hoặc l***@example.com"
    assert {clock["target"] for clock in case["clocks"]} == {"first_response", "resolution"}
    assert {(effect["step"], effect["state"]) for effect in case["effects"]} == {
        ("acknowledge", "accepted"),
        ("notify_agent", "accepted"),
    }
    assert [line["event"] for line in case["timeline"]][:2] == ["case.opened", "acknowledge.sent"]


async def test_times_are_the_brands(amends: Invoke, one_case: ComplaintJourney) -> None:
    case = json.loads(amends("case", "1", "--json").stdout)
    opened = datetime.fromisoformat(case["opened_at"])
    assert opened == MONDAY
    assert case["opened_at"].endswith("+07:00")
    text = amends("case", "1").stdout
    assert "Mon 02/11/2026 09:00" in text
    # An urgent ticket of 09:00 is to be answered by 09:30.
    assert "Mon 02/11/2026 09:30" in text


async def test_status_tells_figures_and_what_waits_for_a_person(
    amends: Invoke, one_case: ComplaintJourney, store: Store
) -> None:
    with store.begin() as tx:
        tx.execute(effects.update().where(effects.c.step == "acknowledge").values(state="uncertain"))
        tx.execute(
            incidents.insert().values(
                stopped="zns",
                code="-137",
                detail="the balance is used up",
                times=3,
                opened_at=MONDAY,
                last_seen_at=MONDAY,
            )
        )
    status = json.loads(amends("status", "--json").stdout)
    journey = status["journeys"][0]
    assert journey["funnel"]["cases"] == 1
    assert journey["funnel"]["quarantined"] == 1
    assert journey["quarantine"][0]["location"] == "reviews.csv line 4"
    assert journey["uncertain"][0]["case"] == "AM000001"
    assert "not repeated" in journey["uncertain"][0]["what_to_do"]
    assert journey["due_now"] == {"watch_sla": 2}
    assert [incident["code"] for incident in status["incidents"]] == ["-137"]
    text = amends("status").stdout
    for told in (
        "Journey complaint",
        "quarantined",
        "first response",
        "Due now: watch sla 2",
        "-137",
        "AM000001",
    ):
        assert told in text


def test_status_of_an_empty_installation_says_what_to_do(amends: Invoke) -> None:
    result = amends("status")
    assert result.exit_code == 0
    assert "amends import" in result.stdout


def test_status_shows_quarantine_before_any_sweep(amends: Invoke, journey_file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("id,stars\nr1,77\n", encoding="utf-8")
    amends("import", bad, "--journey", journey_file, "--columns", "external_id=id,rating=stars")
    assert "bad.csv line 2" in amends("status").stdout


def test_status_tells_what_the_doors_took_in_and_refused(amends: Invoke, store: Store) -> None:
    today = datetime.now(UTC)
    door = "webhook:till"
    event = webhook_events.Event(door, "k1", "rating", today, today, {"rating": 1})
    with store.begin() as tx:
        webhook_events.add_counts(
            tx, {(door, "accepted"): 1_200, (door, "duplicate"): 3, (door, "forged"): 41}, today.date()
        )
        webhook_events.add_counts(tx, {("zalo", "unknown_source"): 2}, (today - timedelta(days=6)).date())
        webhook_events.add_counts(tx, {("zalo", "stale"): 9}, (today - timedelta(days=8)).date())
        webhook_events.take_in(tx, [event])
        webhook_events.settle(tx, [webhook_events.Fate(door, "k1", webhook_events.EventState.WAITING)])
    assert json.loads(amends("status", "--json").stdout)["webhooks"] == [
        {
            "door": door,
            "requests": {"accepted": 1200, "duplicate": 3, "forged": 41},
            "events": {"waiting": 1, "ignored": 0, "unreadable": 0},
        },
        {
            "door": "zalo",
            "requests": {"unknown_source": 2},
            "events": {"waiting": 0, "ignored": 0, "unreadable": 0},
        },
    ]
    text = amends("status").stdout
    assert "Webhooks, last 7 days" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert rows[door] == ["1,200", "3", "forged", "41", "1", "0", "0"]
    assert rows["zalo"] == ["0", "0", "unknown", "source", "2", "0", "0", "0"]


def test_status_is_silent_about_webhooks_when_none_ever_came(amends: Invoke) -> None:
    assert json.loads(amends("status", "--json").stdout)["webhooks"] == []
    assert "Webhooks" not in amends("status").stdout
