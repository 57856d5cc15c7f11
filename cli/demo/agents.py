"""Simulated care agents: they take and solve tickets in the built-in desk, some of them late."""

import heapq
from dataclasses import dataclass, field
from datetime import datetime

from amends.domain.case import TicketState
from amends.domain.journey import ComplaintJourney
from amends.store import tickets
from amends.store.engine import Store
from sandbox import people


@dataclass(order=True, slots=True)
class _Action:
    at: datetime
    ticket_id: int
    kind: str
    agent: str = field(compare=False)
    root_cause: str = field(compare=False)


class Agents:
    """Plans each new ticket cycle once, then acts at the planned business time."""

    def __init__(self, store: Store, journey: ComplaintJourney, seed: int) -> None:
        self._store, self._journey, self._seed = store, journey, seed
        self._planned: set[tuple[int, int]] = set()
        self._actions: list[_Action] = []

    def work_until(self, now: datetime) -> None:
        """Do everything that is planned up to `now`, each action at its own time."""
        self._plan_new()
        due = []
        while self._actions and self._actions[0].at <= now:
            due.append(heapq.heappop(self._actions))
        with self._store.begin() as tx:
            for action in due:
                if action.kind == "take":
                    tickets.take(tx, action.ticket_id, action.agent, action.at)
                else:
                    tickets.solve(tx, action.ticket_id, action.agent, action.root_cause, action.at)

    def _plan_new(self) -> None:
        with self._store.read() as tx:
            waiting = tickets.unsolved(tx)
        calendar = self._journey.calendar
        for ticket in waiting:
            if ticket.state is not TicketState.NEW or (ticket.id, ticket.cycle) in self._planned:
                continue
            self._planned.add((ticket.id, ticket.cycle))
            plan = people.agent_plan(self._seed, str(ticket.case_id), ticket.severity.value, ticket.cycle)
            agent = ticket.assignee or self._journey.agents[0].name
            for kind, minutes in (("take", plan.respond_after_minutes), ("solve", plan.solve_after_minutes)):
                at = calendar.add_minutes(ticket.opened_at, minutes)
                heapq.heappush(self._actions, _Action(at, ticket.id, kind, agent, plan.root_cause))
