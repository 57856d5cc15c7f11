"""Sweeps whose database is about to break."""

import pytest

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from sandbox.process import Sandbox
from tasks.sweep import Runtime
from tests.flows.breakage import Morning, retry_at_once


@pytest.fixture
def morning(
    prefect_api: str,
    runtime: Runtime,
    journey: ComplaintJourney,
    sandbox: Sandbox,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Morning:
    """Six bad ratings wait; Prefect tries again at once."""
    retry_at_once(monkeypatch)
    return Morning(runtime, journey, sandbox, clock)
