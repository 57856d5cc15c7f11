"""Sweeps whose database is about to break."""

import pytest

from amends.clock import VirtualClock
from amends.domain.journey import ComplaintJourney
from sandbox.process import Sandbox
from tasks import chunks
from tasks.sweep import Runtime
from tests.flows.breakage import Morning


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
    monkeypatch.setattr(chunks, "RETRY_AFTER_S", [0.0, 0.0, 0.0])
    return Morning(runtime, journey, sandbox, clock)
