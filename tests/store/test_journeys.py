"""Journey versions: registered once by content, and read back as they were."""

import pytest
import sqlalchemy as sa

from amends.domain.journey import version_of
from amends.store import journeys
from amends.store.engine import Store
from tests.domain.examples import HOUR, JOURNEY, NINE, changed
from tests.store.rows import at_once


def test_the_same_journey_twice_is_the_same_version(store: Store) -> None:
    with store.begin() as tx:
        assert journeys.register(tx, JOURNEY, NINE) == journeys.register(tx, changed(), NINE + HOUR)


def test_a_changed_journey_is_another_version(store: Store) -> None:
    with store.begin() as tx:
        assert journeys.register(tx, JOURNEY, NINE) != journeys.register(tx, changed(brand="Mưa"), NINE)


def test_going_back_to_an_earlier_version_finds_it(store: Store) -> None:
    with store.begin() as tx:
        first = journeys.register(tx, JOURNEY, NINE)
        journeys.register(tx, changed(brand="Mưa"), NINE)
        assert journeys.register(tx, JOURNEY, NINE) == first


def test_sweeps_that_register_in_a_race_agree(store: Store) -> None:
    def register() -> int:
        with store.begin() as tx:
            return journeys.register(tx, JOURNEY, NINE)

    assert len(set(at_once([register] * 4))) == 1


def test_a_version_comes_back_as_it_was(store: Store) -> None:
    with store.begin() as tx:
        version_id = journeys.register(tx, JOURNEY, NINE)
        journeys.register(tx, changed(brand="Mưa"), NINE)
        loaded = journeys.load(tx, version_id)
    assert loaded == JOURNEY
    assert version_of(loaded) == version_of(JOURNEY)


def test_a_version_is_checked_once_in_a_process(store: Store) -> None:
    mornings = changed(brand="Sáng")
    with store.begin() as tx:
        version_id = journeys.register(tx, mornings, NINE)
        other_id = journeys.register(tx, changed(brand="Chiều"), NINE)
        first = journeys.load(tx, version_id)
        assert journeys.load(tx, version_id) is first
        assert journeys.load(tx, other_id).brand == "Chiều"


def test_a_version_that_does_not_exist_is_an_error(store: Store) -> None:
    with store.read() as tx, pytest.raises(sa.exc.NoResultFound):
        journeys.load(tx, 10**9)


def test_recent_versions_reach_back_to_the_one_in_force_then(store: Store) -> None:
    with store.begin() as tx:
        _, in_force, newer, newest = (
            journeys.register(tx, changed(brand=f"B{day}"), NINE + day * 24 * HOUR) for day in range(4)
        )
        since = NINE + 36 * HOUR
        assert journeys.recent(tx, "complaint", since) == [newest, newer, in_force]
        assert journeys.recent(tx, "complaint", since, limit=1) == [newest]
        assert journeys.recent(tx, "aftercare", since) == []
