"""What workers do in tests. Each worker imports this file, so it imports little."""

from __future__ import annotations

import os
import signal
import time

from train.errors import ArgumentError


def work(task):
    """What a task asks for: a number is squared."""
    folder, name = task
    if name == "dies" or (name == "dies once" and not (folder / "died").exists()):
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "hangs":
        time.sleep(3600)
    if name == "is wrong":
        raise ArgumentError("a wrong value", "force")
    return int(name) ** 2 if name.isdigit() else name
