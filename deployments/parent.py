"""Ending with the parent: a server nobody knows of would go on holding its port and its database."""

import os
import threading


def end_with_parent() -> None:
    """End this process as soon as its standard input closes: the parent holds the other end, until it dies itself."""
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    # Reading ends when the last holder of the other end is gone, even by SIGKILL. Not through `sys.stdin`: a thread
    # that holds its lock makes the interpreter abort at a normal end.
    while os.read(0, 4096):
        pass
    os._exit(0)
