"""An operator settles what no machine can know: list, show, settle, retry, cancel, and nothing by a dry run."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from amends.domain.effects import Step
from amends.domain.outcome import Outcome, OutcomeClass
from amends.store import agenda, ledger, operator_log, timeline
from amends.store.engine import Store
from amends.store.schema import agenda as agenda_table
from amends.store.schema import effects
from amends.store.schema import timeline as timeline_table
from tests.cli.conftest import PHONE, Invoke
from tests.conftest import MONDAY
from tests.store.rows import ACCEPTED, add_case, add_customer, intent, strike_off

ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
TABLES = (effects, agenda_table, timeline_table)
WHY = ("--by", "hoa", "--why", f"looked it up, called {PHONE}")


@pytest.fixture
def apology(amends: Invoke, store: Store) -> int:
    """The apology of a case opened just now, its fate unknown, beside a notification that arrived; its id."""
    with store.begin() as tx:
        case_id = add_case(tx, customer_id=add_customer(tx, phone="84912345678"), opened_at=datetime.now(UTC))
        agenda.plan(tx, [agenda.Item(case_id, "complaint", Step.ACKNOWLEDGE, 0, MONDAY)])
        strike_off(tx, case_id, Step.ACKNOWLEDGE, "uncertain")
        lost = Outcome(OutcomeClass.UNCERTAIN, detail=f"no answer about {PHONE}")
        told = {"step": Step.NOTIFY_AGENT, "channel": "notify"}
        for made, outcome in ((intent(case_id), lost), (intent(case_id, **told), ACCEPTED)):
            ledger.begin(tx, [made], owner="one", now=MONDAY, lease_until=MONDAY)
            ledger.settle(tx, [(made, outcome)], owner="one", attempts={}, now=MONDAY)
        timeline.append(tx, [timeline.Entry(case_id, MONDAY, "acknowledge.uncertain", "no answer")])
        apology = sa.select(effects.c.id).where(effects.c.step == "acknowledge")
        return int(tx.execute(apology).scalar_one())


def state_of(store: Store, effect_id: int) -> str:
    with store.read() as tx:
        return str(tx.execute(sa.select(effects.c.state).where(effects.c.id == effect_id)).scalar_one())


def listed(amends: Invoke, *words: str) -> list[dict[str, Any]]:
    result = amends("ledger", "list", *words, "--json")
    assert result.exit_code == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)["effects"]
    return found


def test_list_show_settle_and_send_again(amends: Invoke, apology: int, store: Store) -> None:
    (effect,) = listed(amends, "--state", "uncertain")
    assert (effect["id"], effect["case"], effect["step"]) == (apology, "AM000001", "acknowledge")
    assert effect["sent_at"] == "2026-11-02T09:00:00+07:00"
    assert str(apology) in amends("ledger", "list", "--state", "uncertain").stdout

    settled = amends("ledger", "settle", str(apology), "--not-sent", *WHY)
    assert (settled.exit_code, settled.stdout) == (
        0,
        f"Effect {apology} (AM000001, acknowledge by zns): uncertain -> refused; "
        "nothing more is sent, unless you retry it.\n",
    )
    assert listed(amends, "--code", "not_sent")[0]["id"] == apology

    again = amends("ledger", "retry", str(apology), *WHY)
    assert again.exit_code == 0, again.stderr
    assert "refused -> waiting" in again.stdout
    with store.read() as tx:
        due = tx.execute(sa.select(agenda_table.c.due_at)).scalar_one()
        told = operator_log.of_subject(tx, f"effect {apology}")
    assert due is not None
    assert [(deed.actor, deed.action) for deed in told] == [("hoa", "settled_not_sent"), ("hoa", "retried")]

    shown = json.loads(amends("ledger", "show", str(apology), "--json").stdout)
    assert [line["event"] for line in shown["timeline"]] == [
        "acknowledge.uncertain",
        "acknowledge.settled_not_sent",
        "acknowledge.retried",
    ]
    assert [deed["detail"] for deed in shown["by_hand"]] == [
        "was uncertain: looked it up, called 84912***678",
        "was refused: looked it up, called 84912***678",
    ]
    text = amends("ledger", "show", str(apology)).stdout
    for words in ("acknowledge by zns", "tracking id", "By hand", "settled_not_sent"):
        assert words in text

    cancelled = amends("ledger", "cancel", str(apology), *WHY)
    assert cancelled.exit_code == 0
    assert "the next sweep ends its step" in cancelled.stdout
    assert state_of(store, apology) == "cancelled"


@ONE_DATABASE
def test_a_dry_run_tells_the_same_and_changes_nothing(amends: Invoke, apology: int, store: Store) -> None:
    words = ("ledger", "settle", str(apology), "--sent", "--provider-id", "m-7", *WHY)
    with store.read() as tx:
        before = [tx.execute(sa.select(table)).all() for table in TABLES]
    rehearsed = amends(*words, "--dry-run")
    assert rehearsed.exit_code == 0
    with store.read() as tx:
        assert [tx.execute(sa.select(table)).all() for table in TABLES] == before
        assert operator_log.of_subject(tx, f"effect {apology}") == []
    really = amends(*words)
    assert rehearsed.stdout == really.stdout.replace("Effect", "Would change: effect", 1)
    assert really.stdout == (
        f"Effect {apology} (AM000001, acknowledge by zns): uncertain -> accepted; "
        "it counts as sent and is never sent again.\n"
    )
    assert listed(amends, "--case", "AM000001", "--step", "acknowledge")[0]["provider_id"] == "m-7"


@ONE_DATABASE
def test_settled_and_sent_again_in_one_go(amends: Invoke, apology: int, store: Store) -> None:
    done = amends("ledger", "settle", str(apology), "--not-sent", "--retry", *WHY)
    assert done.exit_code == 0, done.stderr
    assert "uncertain -> waiting" in done.stdout
    assert state_of(store, apology) == "waiting"


@ONE_DATABASE
def test_of_several_those_that_can_be_settled_are_and_the_others_are_told(
    amends: Invoke, apology: int, store: Store
) -> None:
    (told,) = listed(amends, "--step", "notify_agent")
    done = amends("ledger", "settle", str(told["id"]), str(apology), "999", "--sent", *WHY)
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        f"effect {told['id']} is accepted and cannot be settled: the vendor has it",
        "there is no effect 999; `amends ledger list` shows them",
    ]
    assert f"Effect {apology} " in done.stdout
    assert (state_of(store, told["id"]), state_of(store, apology)) == ("accepted", "accepted")


@ONE_DATABASE
def test_filters_and_pages(amends: Invoke, apology: int) -> None:
    assert [e["channel"] for e in listed(amends)] == ["notify", "zns"]
    assert [e["channel"] for e in listed(amends, "--oldest")] == ["zns", "notify"]
    assert [e["channel"] for e in listed(amends, "--since", "2026-11-02", "--until", "2026-11-02")] == [
        "notify",
        "zns",
    ]
    assert listed(amends, "--since", "2026-11-03") == []
    assert listed(amends, "--until", "2026-11-01") == []
    first = json.loads(amends("ledger", "list", "--limit", "1", "--json").stdout)
    assert first["next_after"] == first["effects"][0]["id"]
    assert [e["channel"] for e in listed(amends, "--after", str(first["next_after"]))] == ["zns"]
    assert f"--after {first['next_after']}" in amends("ledger", "list", "--limit", "1").stdout
    assert "No such effects" in amends("ledger", "list", "--channel", "sms").stdout


@ONE_DATABASE
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["settle", "1", "--by", "hoa", "--why", "x"], 2, "--sent or --not-sent"),
        (["settle", "1", "--sent", "--not-sent", "--by", "hoa", "--why", "x"], 2, "--sent or --not-sent"),
        (["settle", "1", "--sent", "--retry", "--by", "hoa", "--why", "x"], 2, "--retry goes with"),
        (["settle", "1", "2", "--sent", "--provider-id", "m", "--by", "h", "--why", "x"], 2, "one effect"),
        (["settle", "1", "--sent", "--by", " ", "--why", "x"], 2, "--by: give your name"),
        (["settle", "1", "--sent", "--by", "hoa", "--why", " "], 2, "--why: give the reason"),
        (["settle", "1", "--sent", "--by", "hoa"], 2, "--why"),
        (["retry", "77", "--by", "hoa", "--why", "x"], 1, "there is no effect 77"),
        (["show", "77"], 1, "there is no effect 77"),
        (["list", "--state", "uncertan"], 2, "did you mean 'uncertain'?"),
        (["list", "--step", "apology"], 2, "write one of acknowledge"),
        (["list", "--since", "monday"], 2, "write it as 2026-11-02"),
        (["list", "--case", "x"], 2, "write it as 42 or AM000042"),
    ],
)
def test_a_wrong_word_is_told_with_the_fix(amends: Invoke, words: list[str], code: int, told: str) -> None:
    result = amends("ledger", *words)
    assert result.exit_code == code
    assert told in result.stderr


@ONE_DATABASE
def test_status_names_the_effect_and_the_command(amends: Invoke, apology: int) -> None:
    (doubt,) = json.loads(amends("status", "--json").stdout)["journeys"][0]["uncertain"]
    assert doubt["effect"] == apology
    text = amends("status").stdout
    assert f"effect {apology}  AM000001" in text
    assert "amends ledger settle ID" in text
