from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.desk.rig import Desk, running_desk


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(tmp_path) as desk:
        yield desk
