"""An agent works from the command line: list, take, solve."""

import json

from amends.domain.effects import Step
from amends.domain.journey import ComplaintJourney
from amends.store import lookups
from amends.store.engine import Store
from amends.store.schema import agenda
from tests.cli.conftest import PHONE, Invoke


async def test_list_take_solve(amends: Invoke, one_case: ComplaintJourney, store: Store) -> None:
    listed = json.loads(amends("ticket", "list", "--json").stdout)
    assert [(ticket["id"], ticket["state"], ticket["next_target"]) for ticket in listed] == [
        (1, "new", "first_response")
    ]
    assert listed[0]["due_at"] == "2026-11-02T09:30:00+07:00"
    agent = listed[0]["agent"]
    assert "AM000001" in amends("ticket", "list", "--agent", agent).stdout
    assert "No open tickets" in amends("ticket", "list", "--agent", "nobody").stdout

    assert amends("ticket", "take", "1", "--agent", agent).exit_code == 0
    again = amends("ticket", "take", "1", "--agent", agent)
    assert again.exit_code == 0
    assert "already" in again.stdout
    assert json.loads(amends("ticket", "list", "--json").stdout)[0]["next_target"] == "resolution"

    solved = amends("ticket", "solve", "1", "--agent", agent, "--cause", f"late delivery, told {PHONE}")
    assert solved.exit_code == 0, solved.stderr
    assert "No open tickets" in amends("ticket", "list").stdout
    with store.read() as tx:
        ticket = lookups.ticket(tx, 1)
        survey = tx.execute(agenda.select().where(agenda.c.step == Step.SURVEY.value)).one()
    assert ticket is not None
    assert ticket.root_cause == "late delivery, told 84912***678"
    assert survey.due_at is not None


async def test_what_the_ticket_does_not_allow_changes_nothing(
    amends: Invoke, one_case: ComplaintJourney, store: Store
) -> None:
    owner, other = "thao", "lan"
    amends("ticket", "take", "1", "--agent", owner)
    taken = amends("ticket", "take", "1", "--agent", other)
    assert (taken.exit_code, taken.stderr) == (1, "ticket 1 was taken by thao already; nothing is changed\n")
    unknown = amends("ticket", "take", "1", "--agent", "tao")
    assert "its agents are lan, minh, thao" in unknown.stderr
    assert amends("ticket", "solve", "1", "--agent", owner, "--cause", " ").exit_code == 1
    with store.read() as tx:
        ticket = lookups.ticket(tx, 1)
    assert ticket is not None
    assert (ticket.state, ticket.assignee) == ("open", owner)
    amends("ticket", "solve", "1", "--agent", owner, "--cause", "late")
    twice = amends("ticket", "solve", "1", "--agent", owner, "--cause", "late")
    assert (twice.exit_code, twice.stderr) == (1, "ticket 1 is solved already\n")
