"""Imported once by the process that runs are forked from: whatever a sweep imports, or builds at its first use."""

# ruff: noqa: F401 - imported for those who come after
import gc
from datetime import UTC, datetime, time

import anyio._backends._asyncio
import phonenumbers.data.region_VN
import prefect.artifacts
import prefect.client.schemas.actions
import prefect.client.schemas.objects
import prefect.engine
import prefect.events.schemas.events
import prefect.flow_engine
import prefect.task_engine
import prefect.utilities.visualization
import psycopg
from apprise import Apprise
from pydantic import BaseModel

import flows.complaint
import flows.verify
from amends.domain.business_time import BusinessCalendar
from amends.garbage import collect_seldom
from connectors.base import _tls

_tls()
# Prefect's models are built at their first use, which takes 20 ms of every sweep.
for _schemas in (
    prefect.artifacts,
    prefect.client.schemas.actions,
    prefect.client.schemas.objects,
    prefect.events.schemas.events,
):
    for _model in vars(_schemas).values():
        if isinstance(_model, type) and issubclass(_model, BaseModel) and _model is not BaseModel:
            _model.model_rebuild(raise_errors=False)
Apprise().add("json://127.0.0.1/")  # which loads 150 services to find this one
BusinessCalendar("Asia/Ho_Chi_Minh", {0: ((time(9), time(17)),)}).add_minutes(
    datetime(2026, 1, 5, 2, tzinfo=UTC), 1
)
collect_seldom()  # whoever is forked from this process inherits it
gc.freeze()  # a collection in a child would copy every page it inherits
