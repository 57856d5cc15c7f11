"""Imported once by the server that children are forked from: all that a sweep imports or builds when it first needs it.

Without this a sweep of 0.4 s takes 4 s, most of it Apprise's 150 services and the holidays of 200 countries.
"""

# ruff: noqa: F401 - imported for those who come after
import gc

import anyio._backends._asyncio
import fastapi
import phonenumbers.data.region_VN
import prefect.engine
import prefect.flow_engine
import prefect.task_engine
import prefect.utilities.visualization
from apprise import Apprise

import tests.chaos.child
from amends.domain.journey import load_journey
from connectors.base import _tls
from tests.conftest import MONDAY, ROOT

_tls()
Apprise().add("json://127.0.0.1/")
load_journey(ROOT / "deployments" / "journeys" / "complaint.yaml").calendar.add_minutes(MONDAY, 1)
gc.freeze()  # a collection in a child would copy every page it inherits
