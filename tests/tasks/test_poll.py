"""Polls: what a webhook has only announced is fetched, placed and counted once, and trouble is told and forgotten."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from amends.store import cursors, incidents
from amends.store.engine import Store
from amends.store.opening import open_spool
from amends.store.schema import feedbacks, quarantine
from connectors.errors import NeedsHuman, VendorUnavailable
from connectors.ports import RatingAnswer
from tasks.poll import FIRST_POLL, GIVE_UP_AFTER, NEWS, POLL_OVERLAP, poll_announced, poll_ratings
from tasks.sweep import Sweep
from tasks.webhooks import doors_of, move_spooled
from tests.domain.examples import HOUR, JOURNEY, NINE, changed
from tests.tasks.rig import (
    AFTER_PURCHASE,
    DOOR,
    SURVEY,
    add_effect,
    answer,
    by_zalo,
    fates,
    inbox_of,
    kept,
    rated,
    sweep_over,
    task_settings,
)

MINUTE = timedelta(minutes=1)
STOPPED = NeedsHuman("zalo", "ratings", "-124", "the access token is invalid")
AWAY = VendorUnavailable("zalo", "ratings", "http_503", "called from 0912345678")


class Zalo:
    """A list of rating answers per template, and the trouble that asking for it meets."""

    def __init__(self, **answers: Sequence[RatingAnswer]) -> None:
        self.answers = {name.removeprefix("t"): list(rows) for name, rows in answers.items()}
        self.trouble: VendorUnavailable | None = None
        self.asked: list[tuple[str, datetime, datetime]] = []

    async def ratings(self, template_id: str, since: datetime, until: datetime) -> list[RatingAnswer]:
        self.asked.append((template_id, since, until))
        if self.trouble:
            raise self.trouble
        rows = self.answers.get(template_id, [])
        return [row for row in rows if since <= row.submitted_at <= until]

    def since(self) -> dict[str, datetime]:
        return {template_id: since for template_id, since, _ in self.asked}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NINE)


class Shop:
    """One installation: webhooks come in, sweeps poll."""

    def __init__(self, store: Store, home: Path, clock: VirtualClock, zalo: Zalo) -> None:
        self.store, self.home, self.clock, self.zalo = store, home, clock, zalo

    def sweep(self, journey: ComplaintJourney = JOURNEY, read_back: timedelta = timedelta(0)) -> Sweep:
        return sweep_over(
            self.store, self.home, journey=journey, clock=self.clock, ratings=self.zalo, read_back=read_back
        )

    def webhook(self, key: str, msg_id: str, door: str = DOOR) -> None:
        """The webhook of an answer, which the desk has just received and moved."""
        settings = task_settings(self.home)
        spool, now = open_spool(settings), self.clock.now()
        spool.put([by_zalo(key, rated(msg_id, at=now), door, now)])
        move_spooled(self.store, spool, doors_of([JOURNEY], settings), now)
        spool.close()

    async def poll(self) -> Sweep:
        sweep = self.sweep()
        await poll_ratings(sweep)
        return sweep

    def fates(self) -> dict[str, str]:
        with self.store.read() as tx:
            return fates(tx)

    def inbox(self) -> list[tuple[str, str]]:
        with self.store.read() as tx:
            return inbox_of(tx)

    def incidents(self) -> list[incidents.Incident]:
        with self.store.read() as tx:
            return incidents.still_open(tx)


@pytest.fixture
def shop(store: Store, tmp_path: Path, clock: VirtualClock) -> Shop:
    return Shop(store, tmp_path, clock, Zalo(t320003=[answer("m-9")]))


async def test_an_announced_rating_is_fetched_at_once_and_gets_the_source_of_its_template(shop: Shop) -> None:
    shop.webhook("rated", "m-9")
    assert (shop.fates(), shop.inbox()) == ({"rated": "waiting"}, [])
    await poll_announced(shop.sweep())
    assert shop.inbox() == [("after-purchase", "m-9")]
    assert shop.fates() == {"rated": "done"}
    with shop.store.read() as tx:
        assert kept(tx, "rated") is None
        assert tx.execute(sa.select(feedbacks.c.text)).scalars().all() == ["Giao chậm"]


async def test_without_news_nobody_is_asked(shop: Shop) -> None:
    await poll_announced(shop.sweep())
    assert shop.zalo.asked == []


async def test_only_what_was_announced_lately_is_asked_for_and_from_a_little_before_it(
    shop: Shop, clock: VirtualClock
) -> None:
    shop.zalo.answers = {}
    shop.webhook("rated", "m-9")
    clock.advance(MINUTE)
    await poll_announced(shop.sweep())
    assert shop.zalo.since() == dict.fromkeys((SURVEY, AFTER_PURCHASE), NINE - 5 * MINUTE)
    shop.zalo.asked.clear()
    clock.advance(NEWS)
    await poll_announced(shop.sweep())
    assert shop.zalo.asked == []
    assert shop.fates() == {"rated": "waiting"}


async def test_a_rating_announced_by_another_account_is_not_asked_for(shop: Shop) -> None:
    shop.webhook("rated", "m-9", door="zalo:hanoi")
    await poll_announced(shop.sweep())
    assert shop.zalo.asked == []
    await poll_announced(shop.sweep(changed(zalo_account="hanoi")))
    assert shop.fates() == {"rated": "done"}


async def test_an_announced_rating_that_comes_late_is_brought_by_a_regular_poll(
    shop: Shop, clock: VirtualClock
) -> None:
    late = shop.zalo.answers.pop(AFTER_PURCHASE)
    shop.webhook("rated", "m-9")
    await poll_announced(shop.sweep())
    assert shop.fates() == {"rated": "waiting"}
    shop.zalo.answers[AFTER_PURCHASE] = late
    clock.advance(HOUR)
    await shop.poll()
    assert (shop.inbox(), shop.fates()) == ([("after-purchase", "m-9")], {"rated": "done"})


async def test_a_rating_that_was_polled_before_its_webhook_came_is_ticked_off(shop: Shop) -> None:
    await shop.poll()
    shop.webhook("rated", "m-9")
    await poll_announced(shop.sweep())
    assert (shop.inbox(), shop.fates()) == ([("after-purchase", "m-9")], {"rated": "done"})


@pytest.mark.parametrize("webhook_first", [True, False])
async def test_poll_and_webhook_of_one_survey_answer_are_one_feedback(
    shop: Shop, webhook_first: bool
) -> None:
    with shop.store.begin() as tx:
        add_effect(tx)
    shop.zalo.answers = {SURVEY: [answer("m-1")]}
    if webhook_first:
        shop.webhook("rated", "m-1")
    await shop.poll()
    if not webhook_first:
        shop.webhook("rated", "m-1")
    await shop.poll()
    assert (shop.inbox(), shop.fates()) == ([(f"survey-{SURVEY}", "m-1")], {"rated": "done"})


async def test_a_rating_that_no_poll_brings_is_given_up_after_a_day_and_kept(
    shop: Shop, clock: VirtualClock
) -> None:
    shop.zalo.answers = {}
    shop.webhook("rated", "m-9")
    clock.advance(GIVE_UP_AFTER)
    await shop.poll()
    assert shop.fates() == {"rated": "waiting"}
    clock.advance(timedelta(seconds=1))
    await shop.poll()
    assert shop.fates() == {"rated": "ignored"}
    with shop.store.read() as tx:
        assert kept(tx, "rated")["message"]["msg_id"] == "m-9"


async def test_a_problem_for_a_person_is_an_incident_until_the_next_success(
    shop: Shop, clock: VirtualClock
) -> None:
    shop.zalo.trouble = STOPPED
    await shop.poll()
    [incident] = shop.incidents()
    assert (incident.stopped, incident.code, incident.detail) == ("zns ratings", "-124", STOPPED.detail)
    assert shop.inbox() == []
    clock.advance(HOUR)
    await shop.poll()
    assert [(one.opened_at, one.last_seen_at) for one in shop.incidents()] == [(NINE, NINE + HOUR)]
    shop.zalo.trouble = None
    await shop.poll()
    assert shop.incidents() == []
    assert shop.inbox() == [("after-purchase", "m-9")]


async def test_an_incident_is_raised_again_after_it_was_solved(shop: Shop) -> None:
    for trouble in (STOPPED, None, STOPPED):
        shop.zalo.trouble = trouble
        await shop.poll()
    assert len(shop.incidents()) == 1


async def test_passing_trouble_is_told_without_numbers_and_raises_no_incident(shop: Shop) -> None:
    shop.zalo.trouble = AWAY
    sweep = await shop.poll()
    assert shop.incidents() == []
    [told] = sweep.tally("detect").reasons
    assert "84912***678" in told
    assert "0912345678" not in told


async def test_a_failed_poll_is_caught_up_from_where_the_last_good_one_ended(
    shop: Shop, clock: VirtualClock
) -> None:
    await shop.poll()
    assert shop.zalo.since() == dict.fromkeys((SURVEY, AFTER_PURCHASE), NINE - FIRST_POLL)
    shop.zalo.trouble = AWAY
    clock.advance(24 * HOUR)
    await shop.poll()
    shop.zalo.trouble = None
    clock.advance(24 * HOUR)
    await shop.poll()
    assert shop.zalo.since() == dict.fromkeys((SURVEY, AFTER_PURCHASE), NINE - POLL_OVERLAP)


async def test_a_poll_for_news_does_not_move_the_regular_polls(shop: Shop) -> None:
    shop.webhook("rated", "m-9")
    await poll_announced(shop.sweep())
    with shop.store.read() as tx:
        assert cursors.get(tx, f"ratings:complaint:{AFTER_PURCHASE}") is None


async def test_a_polled_answer_outside_its_scale_is_quarantined_under_its_source(shop: Shop) -> None:
    shop.zalo.answers[AFTER_PURCHASE].append(answer("m-10", rate=9))
    sweep = await shop.poll()
    assert sweep.tally("detect").results == {"received": 1, "quarantined": 1}
    with shop.store.read() as tx:
        assert tx.execute(sa.select(quarantine.c.source)).scalars().all() == ["after-purchase"]


async def test_without_zalo_nothing_is_polled(store: Store, tmp_path: Path) -> None:
    sweep = sweep_over(store, tmp_path)
    await poll_ratings(sweep)
    await poll_announced(sweep)
    assert sweep.tallies == {}
