"""Where Prefect would keep what flows return. Ours keep it in memory (`persist_result=False`).

A flow that names no such place asks Prefect's server for one, twice a run, each time by a blocking client of its own:
more than half of what an empty sweep cost.
"""

from prefect.settings import get_current_settings

UNUSED = get_current_settings().results.local_storage_path
