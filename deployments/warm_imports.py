"""Imported once by the process that runs are forked from: whatever a sweep imports, or builds at its first use."""

# ruff: noqa: F401 - imported for those who come after
import gc
from datetime import UTC, datetime, time

import anyio._backends._asyncio
import phonenumbers.data.region_VN
import prefect.engine
import prefect.flow_engine
import prefect.task_engine
import prefect.utilities.visualization
from apprise import Apprise

import flows.complaint
import flows.verify
from amends.domain.business_time import BusinessCalendar
from connectors.base import _tls

_tls()
Apprise().add("json://127.0.0.1/")  # which loads 150 services to find this one
BusinessCalendar("Asia/Ho_Chi_Minh", {0: ((time(9), time(17)),)}).add_minutes(
    datetime(2026, 1, 5, 2, tzinfo=UTC), 1
)
gc.freeze()  # a collection in a child would copy every page it inherits
