"""`python -m deployments.prefect_child ARGS...`: the `prefect` command, which ends when its parent does.

The parent holds the other end of our standard input. When it dies, even by SIGKILL, that end closes, and a server
nobody knows of would otherwise go on holding the port and the database.
"""

import os
import runpy
import sys
import threading


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
