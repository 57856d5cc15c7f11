"""The daily sweep seals what was stored in clear before the upgrade, piece by piece; frequent ones leave it."""

from datetime import timedelta
from pathlib import Path

import pytest

from amends.store.engine import Store
from tasks.sealing import seal_what_is_left
from tests.store.test_resealing import fill, in_clear, left
from tests.tasks.rig import sweep_over


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.filterwarnings("ignore:Logger 'prefect.task_runs' attempted")  # a task without a flow
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_the_daily_sweep_seals_what_is_left_in_clear(store: Store, tmp_path: Path) -> None:
    with store.begin() as tx:
        fill(tx)
    in_clear(store)
    await seal_what_is_left(sweep_over(store, tmp_path))
    assert left(store) != {}
    await seal_what_is_left(sweep_over(store, tmp_path, read_back=timedelta(days=3)))
    assert left(store) == {}
