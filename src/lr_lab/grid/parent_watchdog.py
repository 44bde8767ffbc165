"""Ends this process when its parent process is gone, however it ended. Each kernel of a notebook imports it.

Standard input is a pipe into which nobody ever writes, and of which that other process alone has the other end: reading
it returns when that end is closed. (ipykernel's own watch for its parent begins only when the kernel has started, and
looks once a second.)
"""

import os
import threading


def _wait() -> None:
    os.read(0, 1)
    os._exit(1)


threading.Thread(target=_wait, daemon=True).start()
