"""`python -m deployments.prefect_child ARGS...`: the `prefect` command, which ends when its parent does."""

import runpy

from deployments.parent import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
