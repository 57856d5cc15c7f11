"""Everybody around the sweeps: customers who complain and rate, agents who work on what they were told."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from amends.domain.case import TicketState
from amends.store import tickets
from amends.store.engine import Store
from sandbox.process import Sandbox

STRANGERS = 0.08
"""Share of customers who leave no phone number."""
COMES_AGAIN = 0.12
HAPPY = 0.15
"""Share of ratings that are no complaint."""
ANSWERS_AT_ONCE = 0.5
"""Share of surveys answered before the next sweep; the sandbox's own people answer later, or never."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """One rating as it was dropped into the inbox: the truth that everything is held against."""

    external_id: str
    phone: str | None
    rating: int

    @property
    def low(self) -> bool:
        return self.rating <= 3


class Customers:
    """They append to one file a day, as a shop's export would, and rate what they were asked."""

    def __init__(self, inbox: Path, random: Random) -> None:
        self._inbox, self._random = inbox, random
        self.dropped: list[Dropped] = []
        inbox.mkdir(parents=True)

    def complain(self, number: int, now: datetime) -> None:
        for _ in range(number):
            self.dropped.append(self._rating())
        rows = self.dropped[-number:]
        with (self._inbox / f"{now:%Y-%m-%d}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(_row(each, now), ensure_ascii=False) + "\n" for each in rows)

    def _rating(self) -> Dropped:
        random, number = self._random, len(self.dropped) + 1
        phone: str | None = f"8491{number:07d}"
        if random.random() < STRANGERS:
            phone = None
        elif self.dropped and random.random() < COMES_AGAIN:
            phone = random.choice(self.dropped[-20:]).phone
        rating = random.choice((4, 5)) if random.random() < HAPPY else random.choice((1, 2, 3))
        return Dropped(f"r{number}", phone, rating)

    def rate(self, news: Iterable[Mapping[str, Any]], sandbox: Sandbox, now: datetime) -> None:
        """Answer some of the surveys that have just come, one in three badly."""
        for entry in news:
            fresh = now - datetime.fromisoformat(entry["at"]) < timedelta(hours=1)
            asked = entry["kind"] == "zns" and entry["template_type"] == "rating"
            if asked and fresh and self._random.random() < ANSWERS_AT_ONCE:
                sandbox.rate(entry["msg_id"], self._random.choice((1, 4, 5)))


def _row(dropped: Dropped, now: datetime) -> dict[str, object]:
    return {
        "external_id": dropped.external_id,
        "rating": dropped.rating,
        "text": "Giao hàng chậm, hộp móp",
        "occurred_at": now.isoformat(),
        "phone": dropped.phone,
        "customer_name": f"Khách {dropped.phone or dropped.external_id}",
        "customer_ref": dropped.phone or dropped.external_id,
    }


_ABOUT = re.compile(r"\[AM(\d+)\] .* ticket(?: \(reopened (\d+)x\))?")


class Agents:
    """They take and solve a ticket some time after they were told of it at the vendor's, and never before."""

    def __init__(self, store: Store, random: Random) -> None:
        self._store, self._random = store, random
        self._plans: dict[tuple[int, int], tuple[datetime, datetime]] = {}
        """When the ticket of a case and cycle is taken and when solved."""

    def hear(self, news: Iterable[Mapping[str, Any]], now: datetime) -> None:
        for entry in news:
            if entry["kind"] == "agent_notification" and (about := _ABOUT.fullmatch(entry["title"])):
                case, cycle = int(about[1]), int(about[2] or 0)
                late = self._random.random() < 0.25
                taken = now + timedelta(minutes=self._random.uniform(30, 60) if late else 2)
                solved = taken + timedelta(minutes=60 if late else 15)
                self._plans.setdefault((case, cycle), (taken, solved))

    def work(self, now: datetime) -> None:
        with self._store.begin() as tx:
            for ticket in tickets.unsolved(tx):
                plan = self._plans.get((ticket.case_id, ticket.cycle))
                if plan is None:
                    continue
                agent = ticket.assignee or "lan"
                if plan[1] <= now:
                    tickets.solve(tx, ticket.id, agent, "giao hàng", now)
                elif plan[0] <= now and ticket.state is TicketState.NEW:
                    tickets.take(tx, ticket.id, agent, now)
