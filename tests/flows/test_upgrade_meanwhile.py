"""A newer program migrates the database under a running sweep of an older one."""

from amends.store import migrate
from tests.flows.breakage import OPEN_CALLS, Breakage, Morning
from tests.store.test_migrating_online import newer


async def test_the_older_sweep_stops_between_two_waves_and_the_newer_finishes(morning: Morning) -> None:
    Breakage(morning.store, "COMMIT", lambda: newer(morning.store, "9007"))
    state = await morning.sweep()
    assert state.is_failed()
    assert "this database is at revision 9007" in str(state.message)
    assert len(morning.sandbox.book(kind="zns")) == OPEN_CALLS
    newer(morning.store, migrate.HEAD)
    await morning.next_sweep()
    morning.assert_whole(uncertain=OPEN_CALLS)
