"""Imported once by the server that children are forked from: a served sweep's imports, and those of the harness.

Without this a sweep of 0.4 s takes 4 s.
"""

# ruff: noqa: F401 - imported for those who come after
import gc

import fastapi

import deployments.warm_imports
import tests.chaos.child

gc.freeze()
