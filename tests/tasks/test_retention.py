"""The daily sweep keeps things for as long as the settings say, and tells what it removed."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from amends.clock import VirtualClock
from amends.settings import RetentionSettings, Settings
from amends.store import inbox, webhook_events
from amends.store.engine import Store
from amends.store.schema import webhook_events as webhook_events_table
from amends.store.webhook_events import Event
from tasks.retention import keep_retention, remove_old
from tasks.sweep import Sweep
from tests.domain.examples import NINE
from tests.privacy import her_feedback, rejected, traces
from tests.store.rows import count
from tests.tasks.rig import sweep_over

DAY = timedelta(days=1)


def daily(store: Store, home: Path, after: timedelta, retention: RetentionSettings) -> Sweep:
    sweep = sweep_over(store, home, clock=VirtualClock(NINE + after), read_back=3 * DAY)
    sweep.settings.retention = retention
    return sweep


@pytest.fixture
def old_data(store: Store) -> Store:
    with store.begin() as tx:
        inbox.receive(tx, "complaint", [her_feedback()], NINE)
        inbox.reject(tx, "complaint", [rejected("f1", {"who": "Trần Thị Lan"})], NINE)
        for number in range(4):
            event = Event("zalo:default", f"k{number}", "follow", NINE, NINE, None)
            webhook_events.take_in(tx, [event])
    return store


def test_by_default_only_what_serves_nobody_goes(old_data: Store, tmp_path: Path) -> None:
    before = traces(old_data)
    sweep = daily(old_data, tmp_path, 3_000 * DAY, RetentionSettings())
    sweep.settings.chunk_size = 3  # so that it takes two pages
    remove_old(sweep)
    assert sweep.tally("retention").results == {"webhooks deleted": 4}
    assert traces(old_data) == before


def test_the_settings_say_how_long(old_data: Store, tmp_path: Path) -> None:
    chosen = RetentionSettings(customers_days=365, quarantine_open_days=90, webhook_events_days=None)
    early = daily(old_data, tmp_path, 364 * DAY, chosen)
    remove_old(early)
    assert early.tally("retention").results == {"quarantine emptied": 1}
    late = daily(old_data, tmp_path, 366 * DAY, chosen)
    remove_old(late)
    assert late.tally("retention").results == {"customers anonymised": 1}
    assert traces(old_data) == []
    with old_data.read() as tx:
        assert count(tx, webhook_events_table) == 4


async def test_a_frequent_sweep_leaves_it_to_the_daily_one(old_data: Store, tmp_path: Path) -> None:
    sweep = sweep_over(old_data, tmp_path, clock=VirtualClock(NINE + 900 * DAY))
    await keep_retention(sweep)
    assert "retention" not in sweep.tallies


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.filterwarnings("ignore:Logger 'prefect.task_runs' attempted")  # a task without a flow
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_the_daily_sweep_does_it(old_data: Store, tmp_path: Path) -> None:
    sweep = daily(old_data, tmp_path, 31 * DAY, RetentionSettings())
    await keep_retention(sweep)
    assert sweep.tally("retention").results == {"webhooks deleted": 4}


def test_days_are_numbers_or_keep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AMENDS_RETENTION__WEBHOOK_EVENTS_DAYS", "keep")
    monkeypatch.setenv("AMENDS_RETENTION__CUSTOMERS_DAYS", "730")
    kept = Settings().retention
    assert (kept.webhook_events_days, kept.customers_days, kept.incidents_days) == (None, 730, 400)
    monkeypatch.setenv("AMENDS_RETENTION__CUSTOMERS_DAYS", "0")
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Settings()
