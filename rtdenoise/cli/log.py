"""Lines on stderr for a log: with the time, where nobody else adds it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping


def log_line(text: str) -> None:
    """Print *text* on stderr; each line of a log gets the time."""
    stamp = "" if sys.stderr.isatty() or in_journal() else time.strftime("%Y-%m-%dT%H:%M:%S%z ")
    print("\n".join(stamp + line for line in text.split("\n")), file=sys.stderr, flush=True)


def in_journal(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether stderr is the journal of systemd, which adds the time to each line.

    systemd tells the device and the inode of the stream that it connected (man systemd.exec); a
    stderr that was redirected since is another one.
    """
    try:
        stream = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # closed, replaced, or none
        return False
    return environment.get("JOURNAL_STREAM") == f"{stream.st_dev}:{stream.st_ino}"
