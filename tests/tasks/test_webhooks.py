"""From the spool into the inbox: everything once, whatever dies in between, and nothing lost to one bad event."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from amends.domain.effects import Step, tracking_id
from amends.domain.journey import ComplaintJourney
from amends.domain.journey.sources import WebhookSource
from amends.store import inbox, timeline, webhook_events
from amends.store.engine import Store, Tx
from amends.store.opening import open_spool
from amends.store.schema import feedbacks, quarantine
from amends.store.schema import timeline as lines
from amends.store.schema import webhook_events as events
from amends.store.schema import zalo_users as users
from amends.store.spool import Arrived, Spool, Spooled
from tasks.webhooks import BATCH, Doors, Moved, doors_of, move_left_behind, move_spooled
from tests.conftest import CIPHER
from tests.domain.examples import HOUR, JOURNEY, NINE, changed
from tests.store.rows import UNKNOWN, at_once, count
from tests.tasks.rig import (
    DOOR,
    PHONE,
    SURVEY,
    add_chatting_customer,
    add_effect,
    by_zalo,
    delivered,
    fates,
    inbox_of,
    kept,
    posted,
    rated,
    shared,
    state_of,
    story,
    sweep_over,
    task_settings,
    wrote,
    zalo_body,
)

RATING = {"rating": 1, "text": "Móp", "phone": PHONE}
FOLLOW = zalo_body("follow", follower={"id": "user-1"})


def with_sources(*names: str, journey: str = "complaint") -> ComplaintJourney:
    return changed(name=journey, sources=[{"kind": "webhook", "name": name} for name in names])


WITH_TILL = with_sources("till")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = open_spool(task_settings(tmp_path))
    yield spool
    spool.close()


@pytest.fixture
def doors(tmp_path: Path) -> Doors:
    return doors_of([WITH_TILL], task_settings(tmp_path))


def all_kinds(tx: Tx) -> tuple[int, list[Arrived]]:
    """Webhooks of every kind that leaves a trace, and the case they are about."""
    _, case_id = add_chatting_customer(tx)
    _, made = add_effect(tx, UNKNOWN)
    return case_id or 0, [
        by_zalo("chat", wrote()),
        by_zalo("delivered", delivered("m-1", made)),
        by_zalo("rated", rated("m-1", tracking_id(made.key))),
        by_zalo("follow", FOLLOW),
        posted("p1", [RATING, {"rating": 9}]),
    ]


def traces(tx: Tx) -> dict[str, int]:
    return {table.name: count(tx, table) for table in (feedbacks, quarantine, lines, events, users)}


ONCE = {"feedbacks": 3, "quarantine": 1, "timeline": 2, "webhook_events": 5, "zalo_users": 1}


def test_what_is_moved_is_in_the_inbox_and_out_of_the_spool(store: Store, spool: Spool, doors: Doors) -> None:
    with store.begin() as tx:
        case_id, arrived = all_kinds(tx)
    spool.put(arrived)
    assert move_spooled(store, spool, doors, NINE) == Moved(5, 5, {"complaint"}, set())
    assert spool.waiting() == 0
    with store.read() as tx:
        assert traces(tx) == ONCE
        assert inbox_of(tx) == [("zalo-chat", "c-1"), (f"survey-{SURVEY}", "m-1"), ("till", "p1#1")]
        assert story(tx, case_id) == ["customer.wrote"]
        assert fates(tx) == dict.fromkeys(["chat", "delivered", "rated", "follow", "p1"], "done")
        assert tx.execute(sa.select(quarantine.c.journey, quarantine.c.source)).one() == ("complaint", "till")


def test_an_empty_spool_moves_nothing(store: Store, spool: Spool, doors: Doors) -> None:
    assert move_spooled(store, spool, doors, NINE) == Moved()


def test_an_event_delivered_spooled_and_moved_twice_is_taken_once(
    store: Store, spool: Spool, doors: Doors
) -> None:
    with store.begin() as tx:
        _, arrived = all_kinds(tx)
    assert spool.put(arrived + arrived) == [True] * 5 + [False] * 5
    move_spooled(store, spool, doors, NINE)
    assert spool.put(arrived) == [False] * 5
    spool.forget(NINE + HOUR)
    assert spool.put(arrived) == [True] * 5  # so late a repetition that the spool knows nothing of it
    again = move_spooled(store, spool, doors, NINE + HOUR)
    assert again == Moved(5, 0, set(), set())
    with store.read() as tx:
        assert traces(tx) == ONCE


class DyingSpool(Spool):
    """A spool whose process is killed before it can drop anything."""

    def drop(self, ids: Iterable[int]) -> None:
        raise KeyboardInterrupt


def test_a_kill_between_the_commit_and_the_drop_doubles_nothing(
    store: Store, spool: Spool, doors: Doors, tmp_path: Path
) -> None:
    with store.begin() as tx:
        _, arrived = all_kinds(tx)
    spool.put(arrived)
    dying = DyingSpool(task_settings(tmp_path).spool_file(), CIPHER)
    with pytest.raises(KeyboardInterrupt):
        move_spooled(store, dying, doors, NINE)
    dying.close()
    assert spool.waiting() == 5
    with store.read() as tx:
        assert traces(tx) == ONCE
    assert move_spooled(store, spool, doors, NINE).news == 0
    assert spool.waiting() == 0
    with store.read() as tx:
        assert traces(tx) == ONCE


class MeetingSpool(Spool):
    """A spool whose readers all see the same batch before anybody moves it."""

    def __init__(self, path: Path, batch: list[Spooled]) -> None:
        super().__init__(path, CIPHER)
        self.batch = batch

    def peek(self, limit: int, doors: Any = None) -> list[Spooled]:
        return self.batch


def test_two_movers_at_once_take_every_event_once(
    postgres: Store, spool: Spool, doors: Doors, tmp_path: Path
) -> None:
    with postgres.begin() as tx:
        _, arrived = all_kinds(tx)
    chats = [by_zalo(f"chat-{n}", wrote(f"c-{n}")) for n in range(2, 40)]
    ratings = [posted(f"p{n}", {**RATING, "phone": f"09123456{n}"}) for n in range(10, 40)]
    spool.put([*arrived, *chats, *ratings])
    batch = spool.peek(1000)

    def move() -> Moved:
        own = MeetingSpool(task_settings(tmp_path).spool_file(), batch)
        moved = move_spooled(postgres, own, doors, NINE)
        own.close()
        return moved

    moved = at_once([move] * 2)
    assert sum(one.news for one in moved) == len(batch) == 73
    assert spool.waiting() == 0
    with postgres.read() as tx:
        assert traces(tx) == ONCE | {"feedbacks": 71, "timeline": 40, "webhook_events": 73}
        assert set(fates(tx).values()) == {"done"}


def test_while_the_database_is_away_the_spool_keeps_everything(spool: Spool, doors: Doors) -> None:
    nobody = Store("postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2", CIPHER)
    spool.put([by_zalo("chat", wrote()), posted("p1", RATING)])
    with pytest.raises(SQLAlchemyError):
        move_spooled(nobody, spool, doors, NINE)
    assert [row.key for row in spool.peek(10)] == ["chat", "p1"]


def test_a_database_without_tables_is_as_good_as_away(spool: Spool, doors: Doors, tmp_path: Path) -> None:
    fresh = Store(f"sqlite:///{tmp_path / 'fresh.db'}", CIPHER)
    spool.put([by_zalo("chat", wrote()), posted("p1", RATING)])
    with pytest.raises(SQLAlchemyError):
        move_spooled(fresh, spool, doors, NINE)
    assert spool.waiting() == 2
    fresh.migrate()
    assert move_spooled(fresh, spool, doors, NINE).news == 2
    fresh.close()


DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


@pytest.mark.parametrize("door", [DOOR, "webhook:till"])
@pytest.mark.parametrize("body", [b"not json", b"\xff\xfe\x00", DEEP], ids=["text", "bytes", "too deep"])
def test_one_poison_event_does_not_stop_the_others_and_is_kept_as_unreadable(
    store: Store, spool: Spool, doors: Doors, door: str, body: bytes
) -> None:
    with store.begin() as tx:
        _, arrived = all_kinds(tx)
    spool.put([*arrived[:2], Arrived(door, "poison", NINE, body), *arrived[2:]])
    moved = move_spooled(store, spool, doors, NINE)
    assert (moved.events, moved.journeys) == (6, {"complaint"})
    assert spool.waiting() == 0
    with store.read() as tx:
        assert traces(tx) == ONCE | {"webhook_events": 6}
        assert fates(tx).pop("poison") == "unreadable"
        assert kept(tx, "poison")["body"][:4] == body.decode(errors="replace").replace("\x00", "\ufffd")[:4]
        note = tx.execute(sa.select(events.c.note).where(events.c.key == "poison")).scalar_one()
    assert note.startswith("could not be acted on: ")


def test_an_event_that_the_database_cannot_store_does_not_stop_the_others(
    store: Store, spool: Spool, doors: Doors
) -> None:
    """PostgreSQL refuses what is longer than its column; that is no reason to try the batch again for ever."""
    long = "9" * 150
    spool.put(
        [
            by_zalo("follow", zalo_body("follow", follower={"id": long})),
            by_zalo("shared", shared(uid=long)),
            by_zalo("good", shared(name="Lan " * 100)),
            posted("p1", RATING),
        ]
    )
    assert move_spooled(store, spool, doors, NINE).events == 4
    assert spool.waiting() == 0
    with store.read() as tx:
        found = fates(tx)
        assert (found["good"], found["p1"]) == ("done", "done")
        assert {found["follow"], found["shared"]} == {"unreadable" if store.is_postgres else "done"}
        assert inbox.find_customer(tx, PHONE) is not None


def test_poison_that_comes_again_stays_what_it_was(store: Store, spool: Spool, doors: Doors) -> None:
    for _ in range(2):
        spool.put([by_zalo("poison", b"not json")])
        move_spooled(store, spool, doors, NINE)
        spool.forget(NINE + HOUR)
    with store.read() as tx:
        assert fates(tx) == {"poison": "unreadable"}


def test_events_that_mean_nothing_to_us_are_kept_whole(store: Store, spool: Spool, doors: Doors) -> None:
    unknown = zalo_body("user_click_chatnow", at=NINE - HOUR, oa_id="oa-1", user_id="user-1")
    spool.put([by_zalo("unknown", unknown)])
    assert move_spooled(store, spool, doors, NINE).news == 1
    with store.read() as tx:
        assert fates(tx) == {"unknown": "ignored"}
        row = tx.execute(sa.select(events)).one()
    assert (row.payload, row.name, row.occurred_at) == (unknown, "user_click_chatnow", NINE - HOUR)


@pytest.mark.parametrize(
    "body",
    [zalo_body("user_feedback", message={"msg_id": "m-1"}), {"app_id": "app-1"}, ["list"]],
    ids=["without a mark", "without a name", "no object"],
)
def test_signed_events_in_a_form_we_do_not_know_are_kept_as_unreadable(
    store: Store, spool: Spool, doors: Doors, body: Any
) -> None:
    spool.put([by_zalo("odd", body), by_zalo("chat", wrote())])
    move_spooled(store, spool, doors, NINE)
    with store.read() as tx:
        assert fates(tx) == {"odd": "unreadable", "chat": "ignored"}
        assert kept(tx, "odd") == (body if isinstance(body, dict) else {"body": body})


def test_an_announced_rating_names_the_account_to_poll(store: Store, spool: Spool, doors: Doors) -> None:
    spool.put([by_zalo("rated", rated("m-9"), door="zalo:hanoi"), by_zalo("follow", FOLLOW)])
    assert move_spooled(store, spool, doors, NINE) == Moved(2, 2, set(), {"hanoi"})
    with store.read() as tx:
        assert [event.key for event in webhook_events.waiting(tx, "zalo:hanoi")] == ["rated"]


def test_what_is_for_doors_of_other_journeys_stays(store: Store, spool: Spool, doors: Doors) -> None:
    spool.put([posted("other", RATING, source="app"), posted("ours", RATING)])
    assert move_spooled(store, spool, doors, NINE).events == 1
    assert [row.key for row in spool.peek(10)] == ["other"]
    with store.read() as tx:
        assert inbox_of(tx) == [("till", "ours#1")]


def test_posted_ratings_are_of_the_moment_the_webhook_came(store: Store, spool: Spool, doors: Doors) -> None:
    spool.put([posted("p1", RATING, at=NINE - HOUR)])
    move_spooled(store, spool, doors, NINE)
    with store.read() as tx:
        row = tx.execute(sa.select(feedbacks)).one()
        assert kept(tx, "p1") is None
    assert (row.occurred_at, row.received_at, row.journey) == (NINE - HOUR, NINE, "complaint")


def test_a_webhook_with_nothing_but_bad_ratings_wakes_no_journey(
    store: Store, spool: Spool, doors: Doors
) -> None:
    spool.put([posted("p1", [{"rating": 9}, "rubbish"]), posted("p2", {"wert": 1})])
    assert move_spooled(store, spool, doors, NINE) == Moved(2, 2, set(), set())
    with store.read() as tx:
        notes = tx.execute(sa.select(events.c.note).order_by(events.c.id)).scalars().all()
        assert notes == ["0 feedback, 2 quarantined", "0 feedback, 1 quarantined"]


def test_doors_are_every_account_and_the_webhook_sources_of_the_journeys(tmp_path: Path) -> None:
    doors = doors_of([JOURNEY, with_sources("till", "app", journey="shop")], task_settings(tmp_path))
    assert sorted(doors.names()) == ["webhook:app", "webhook:till", "zalo:default", "zalo:hanoi"]
    assert isinstance(doors.posted["app"][1], WebhookSource)


def test_two_journeys_cannot_have_one_address(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"two journeys have a webhook source 'till'.*rename one"):
        doors_of([WITH_TILL, with_sources("till", journey="shop")], task_settings(tmp_path))


def test_a_sweep_takes_what_a_dead_desk_has_left_in_as_many_batches_as_it_needs(
    store: Store, spool: Spool, tmp_path: Path
) -> None:
    spool.put([posted(f"p{number}", RATING) for number in range(BATCH + 50)])
    spool.put([posted("other", RATING, source="app")])
    sweep = sweep_over(store, tmp_path, journey=WITH_TILL)
    move_left_behind(sweep)
    assert sweep.tally("detect").results["webhooks"] == BATCH + 50
    assert [row.key for row in spool.peek(10)] == ["other"]


def test_a_sweep_without_a_desk_makes_no_spool(store: Store, tmp_path: Path) -> None:
    move_left_behind(sweep_over(store, tmp_path / "home"))
    assert not task_settings(tmp_path / "home").spool_file().exists()


def test_a_delivery_that_waited_in_the_spool_still_settles_the_doubt(
    store: Store, spool: Spool, doors: Doors
) -> None:
    with store.begin() as tx:
        case_id, made = add_effect(tx, None, Step.ACKNOWLEDGE)
    spool.put([by_zalo("delivered", delivered("m-7", made))])
    move_spooled(store, spool, doors, NINE + HOUR)
    with store.read() as tx:
        assert state_of(tx, made) == ("accepted", "m-7")
        assert [line.at for line in timeline.of_case(tx, case_id)] == [NINE]
