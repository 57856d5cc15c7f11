"""`python -m deployments.prefect_child ARGS...`: the `prefect` command, which ends when its parent does."""

import gc
import runpy

from deployments.parent import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    # To look for garbage among what it imports takes a seventh of its start.
    gc.set_threshold(50_000, 20, 100)
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
