"""`BoardWatch` loads a board file anew whenever it is saved, and changes the run to it."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Self

from ..errors import RtdenoiseError, printable
from .live import Live
from .supervisor import Event

LOOK_S = 0.5  # time between two looks at the file


class BoardWatch:
    """A watch over the file of the board that runs, in a thread that is no audio thread.

    It looks at the file's name, so that an editor may write a new file and rename it. A board that
    cannot be loaded is told once, and the old one stays. If the run has been changed to another
    board file, that one is watched; a model has none.

    Args:
        live: The run.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._file: Path | None = None
        self._about: tuple[int, ...] = ()
        self._digest = b""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="rtdenoise-watch")

    def __enter__(self) -> Self:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Look at the file, and change the run if it has another content than at the last look."""
        file: Path | None = getattr(self._live.effect, "file", None)
        if file is None:
            return
        try:
            about = file.stat()
            seen = (about.st_ino, about.st_mtime_ns, about.st_size)
            if file == self._file and seen == self._about:
                return
            digest = hashlib.sha256(file.read_bytes()).digest()
        except OSError:
            return  # between the removal and the renaming of an editor, or for good
        other = file == self._file and digest != self._digest
        self._file, self._about, self._digest = file, seen, digest
        if other:
            self._load(file)

    def _load(self, file: Path) -> None:
        """Change the run to the board of *file*; on an error, tell it."""
        try:
            self._live.change(file)
        except RtdenoiseError as error:
            text = f"{printable(file.name)}, the old board stays: {printable(error)}"
            self._live.tell(Event("kept", text))
