from collections.abc import Iterator
from datetime import datetime

import httpx
import pytest

from sandbox.process import Sandbox, running_sandbox
from tests.sandbox.client import Caller

MORNING = datetime.fromisoformat("2026-11-23T09:00:00+07:00")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(seed=7, now=MORNING) as started:
        yield started


@pytest.fixture
def caller(sandbox: Sandbox) -> Iterator[Caller]:
    """A newly started sandbox at nine in the morning, Vietnam, and an app that is logged in."""
    sandbox.reset()
    with httpx.Client(base_url=sandbox.url, timeout=10) as http:
        caller = Caller(sandbox, http)
        caller.log_in()
        yield caller


@pytest.fixture
def morning() -> datetime:
    return MORNING
