"""What PortAudio, ALSA and JACK write on stderr by themselves, kept from the terminal.

They look for every device that they could have, and write a line for each that is not there. The
lines go to the log, where a user who asks for details sees them.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

LOG = logging.getLogger(__name__)
_ONE = threading.RLock()  # stderr is one for the process


@contextmanager
def hushed() -> Iterator[list[str]]:
    """Return a context in which C libraries cannot write to stderr, for calls of PortAudio only.

    The list that it gives has what was written when the context is left. What other threads write
    in that time goes the same way.
    """
    lines: list[str] = []
    with _ONE, ExitStack() as back:
        try:
            caught = back.enter_context(tempfile.TemporaryFile())
            kept = os.dup(2)
        except OSError:  # stderr is closed, or the disk is full: nobody is disturbed, or all are
            yield lines
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(caught.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            lines += caught.read().decode(errors="replace").splitlines()
            for line in lines:
                LOG.info("%s", line)


def broken_settings() -> str | None:
    """Return the file of ALSA's settings that ALSA cannot read; None if it can, or is not here."""
    name = ctypes.util.find_library("asound")
    if name is None:
        return None
    with hushed() as said:
        ctypes.CDLL(name).snd_config_update()
    found = re.search(r"\) (.+) may be old or corrupted", "\n".join(said))
    return found and found[1]
