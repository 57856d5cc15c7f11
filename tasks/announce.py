"""Business events at Prefect, for operators to build automations on. They carry names and counts, never a customer."""

from collections.abc import Mapping
from typing import Any

from prefect.context import FlowRunContext
from prefect.events import emit_event


def announce(event: str, resource: str, payload: Mapping[str, Any]) -> None:
    """Emit `event`, e.g. `amends.verify.clean`, about `resource`. Outside of a flow run nobody is told."""
    run = FlowRunContext.get()
    if run is None or run.flow_run is None:
        return
    related = [
        {"prefect.resource.id": f"prefect.flow-run.{run.flow_run.id}", "prefect.resource.role": "flow-run"}
    ]
    emit_event(event, resource={"prefect.resource.id": resource}, related=related, payload=dict(payload))
