"""A runtime folder for the sockets of a test's own runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def runtime_folder() -> Iterator[Path]:
    """A folder where no other run is, with a name that is short enough for a socket."""
    with (  # a page that leaves may look for runs once more while the folder is removed
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="rtd", ignore_cleanup_errors=True) as place,
    ):
        patch.setenv("XDG_RUNTIME_DIR", place)
        yield Path(place)
