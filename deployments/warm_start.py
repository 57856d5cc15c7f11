"""Runs that start at once: each is forked from a process that has imported everything.

Prefect's runner gives every run a process of its own, which is right (a run can be cancelled, and hangs alone), and
starts a new Python for it, which costs ten times what an empty sweep does. Prefect 3.8 has no setting for this, so
this file reaches into it, and nothing else does; tests/deployments/test_serving.py fails should it no longer work.
"""

import multiprocessing
from multiprocessing.context import BaseContext
from typing import Any
from uuid import UUID

import prefect.flow_engine
from prefect import Flow
from prefect.runner import Runner

IMPORTS = "deployments.warm_imports"


class _Forking:
    """In the place of the module `multiprocessing`: whoever asks it for new processes gets forked ones."""

    def __init__(self, context: BaseContext) -> None:
        self.context = context

    def get_context(self, _method: str) -> BaseContext:
        return self.context


def start_warm(runner: Runner, deployment_id: UUID, flow: Flow[..., Any]) -> None:
    """Have `runner` run this deployment's `flow` in forked processes; a code change needs a restart of the runner.

    Where the system cannot fork, runs are started anew as before.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([IMPORTS])
    # A deployment whose flow the runner knows is run by `run_flow_in_subprocess`, not by a command.
    runner._deployment_registry.register_flow(deployment_id, flow)
    vars(prefect.flow_engine)["multiprocessing"] = _Forking(context)
