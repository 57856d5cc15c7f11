"""`python -m deployments.prefect_child ARGS...`: the `prefect` command, which ends when its parent does."""

import runpy

from amends.garbage import collect_seldom
from deployments.parent import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    collect_seldom()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
