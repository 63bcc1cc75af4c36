"""Watches over a run, in threads that are no audio threads: its board file, and its input."""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from ..audio import Samples
from ..chain.fitting import music_advice, speech_card
from ..errors import RtdenoiseError, printable
from ..files.kinds import STRETCH_S, Kind
from .live import Live
from .supervisor import Event
from .tap import TapReader

LOOK_S = 0.5  # time between two looks at a file
HEAR_S = 5.0  # time between two looks at whether there is enough new sound
PAUSE_S = 30.0  # sound between two judgements
PIECE_S, REST_S = 0.25, 0.02  # sound that is judged at once, and the time between two such


class _Watch:
    """A thread that looks again and again while a block runs.

    Args:
        name: Name of the thread.
        every_s: Time between two looks in seconds.
    """

    def __init__(self, name: str, every_s: float) -> None:
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=name)

    def __enter__(self) -> Self:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.look()

    def look(self) -> None:
        """Look once."""
        raise NotImplementedError


class BoardWatch(_Watch):
    """A watch over the file of the board that runs: whenever it is saved, the run changes to it.

    It looks at the file's name, so that an editor may write a new file and rename it. A board that
    cannot be loaded is told once, and the old one stays. If the run has been changed to another
    board file, that one is watched; a model has none.

    Args:
        live: The run.
    """

    def __init__(self, live: Live) -> None:
        super().__init__("rtdenoise-watch", LOOK_S)
        self._live = live
        self._file: Path | None = None
        self._about: tuple[int, ...] = ()
        self._digest = b""

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


class KindWatch(_Watch):
    """A watch over the input: that music goes into a model for speech is told, once a model.

    It reads the tap, so that the audio thread does nothing for it; a run without a tap has no
    watch. Two stretches in a row must be plainly music. At its end it looks once more, because a
    run that does not wait may be over before the first look.

    Args:
        live: The run, which has begun.
    """

    def __init__(self, live: Live) -> None:
        super().__init__("rtdenoise-kind", HEAR_S)
        self._live, self._told = live, set[str]()
        self._reader: TapReader | None = None
        if live.tap is not None:
            with suppress(RtdenoiseError):  # the run is over
                self._reader = TapReader(live.tap)
        self._due_s = 2 * STRETCH_S

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._due_s = 0.0
        self.look()

    def look(self) -> None:
        """Judge the last seconds, if there is enough new sound, and something to be said of it."""
        reader, effect = self._reader, self._live.effect
        card = speech_card(effect)
        if reader is None or card is None or card.name in self._told:
            return
        heard_s = reader.position / reader.rate
        if heard_s >= self._due_s:
            self._due_s = heard_s + PAUSE_S
            if self._music(reader):
                self._told.add(card.name)
                if advice := music_advice(effect):
                    self._live.tell(Event("unfit", advice))

    def _music(self, reader: TapReader) -> bool:
        """Return whether the last stretch is plainly music, and that before it if it is there."""
        size = round(STRETCH_S * reader.rate)
        dry, _ = reader.last(2 * STRETCH_S)
        newest, older = dry[:, -size:], dry[:, :-size]
        if not self._is_music(newest, reader.rate):
            return False
        return older.shape[1] <= size / 2 or self._is_music(older, reader.rate)

    def _is_music(self, stretch: Samples, rate: int) -> bool:
        """Return whether a stretch (channels, n) is plainly music.

        It is judged in pieces, between which a hop need not wait for a core or the interpreter.
        """
        kind, piece = Kind(rate), round(PIECE_S * rate)
        for at in range(0, stretch.shape[1], piece):
            kind.before(stretch[:, at : at + piece])
            self._stop.wait(REST_S)
        return kind.music
