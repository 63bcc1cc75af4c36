"""`Recording`, what a run records: one file at a time, from its start or from any moment of it."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, Self

from ..errors import UsageError, printable
from .claims import claimed
from .recorder import Recorder
from .session import Session

CALL_S = 1.0  # no call of the callback takes longer, or nothing can be waited for


class Recording:
    """The recordings of a run, which begin and end while the callback runs.

    Args:
        session: The session whose output is recorded.
        make: Function that opens a recorder, for a file that may be replaced or not.

    Attributes:
        now: The recorder that records. None: none does.
        last: The recorder that records, or did so last. None: there was none.
        ended: Summaries of the recordings that are finished.
        notes: Sentences of finished recordings that the user should read, in order.
    """

    def __init__(self, session: Session, make: Callable[[str | Path, bool], Recorder]) -> None:
        self._session, self._make = session, make
        self._changing = threading.Lock()  # two who begin or end; no audio thread takes it
        self._guards = ExitStack()
        self.now: Recorder | None = None
        self.last: Recorder | None = None
        self.ended: list[dict[str, Any]] = []
        self.notes: deque[str] = deque()

    def begin(
        self,
        path: str | Path,
        overwrite: bool,
        guard: AbstractContextManager[None] | None = None,
    ) -> None:
        """Begin a recording with the next block.

        Args:
            path: Name of the file.
            overwrite: Whether it may be replaced.
            guard: Context for the time of the recording. None: there is none.

        Raises:
            UsageError: If a recording runs.
            AudioError: If the file cannot be written, or exists and may not be replaced.
        """
        with self._changing:
            if self.now is not None:
                raise UsageError(f"{printable(self.now.take.path)} is being recorded: end it first")
            with ExitStack() as stack:
                stack.enter_context(guard or nullcontext())
                self.now = self.last = self._make(path, overwrite)
                self._guards = stack.pop_all()
            self._session.recording = self.now.ring

    def claim(self, path: str | Path, overwrite: bool) -> dict[str, Any]:
        """Begin a recording that no other run may make meanwhile, and return its summary.

        Raises:
            UsageError: See `begin`.
            AudioError: See `begin`.
            DeviceError: If another run records to the file.
        """
        self.begin(path, overwrite, claimed("recording", os.path.realpath(path)))
        return self.summary() or {}

    def end(self) -> dict[str, Any]:
        """End the recording that runs, finish its file, and return its summary.

        Raises:
            UsageError: If none runs.
            AudioError: If the disk was full, or the file cannot be finished.
        """
        with self._changing:
            recorder, self.now = self.now, None
            if recorder is None:
                raise UsageError("nothing is being recorded")
            self._session.recording = None
            self._let_go()
            with self._guards:
                try:
                    recorder.close()
                finally:
                    self._keep(recorder)
            return self.ended[-1]

    def _let_go(self) -> None:
        """Wait until a call that may still write into the ring is over."""
        calls, end_s = self._session.callbacks, time.monotonic() + CALL_S
        while self._session.inside and self._session.callbacks == calls:
            if time.monotonic() > end_s:
                return
            time.sleep(0.0005)

    def _keep(self, recorder: Recorder) -> None:
        """Keep what a finished recorder has to tell."""
        self.ended.append(recorder.summary())
        self.notes.extend(recorder.notes)
        recorder.notes.clear()

    def room(self, frames: int) -> None:
        """Wait until there is room for *frames* samples; an audio thread must not call it."""
        if (recorder := self.now) is not None:
            recorder.room(frames)

    def gap(self, samples: int) -> None:
        """Record *samples* of silence; see `Recorder.gap`."""
        if (recorder := self.now) is not None:
            recorder.gap(samples)

    def told(self) -> list[str]:
        """Return the sentences that the user should read at once, each of them one time."""
        queues = [self.notes] + ([self.now.notes] if self.now is not None else [])
        return [queue.popleft() for queue in queues for _ in range(len(queue))]

    def summary(self) -> dict[str, Any] | None:
        """Return the summary of the recording that runs, or else of the last one; None: none."""
        return None if self.last is None else self.last.summary()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """End the recording that runs; nothing stays of one whose run was not opened."""
        recorder, self.now = self.now, None
        with self._guards:
            if recorder is not None:
                try:
                    recorder.__exit__(kind, *rest)
                finally:
                    self._keep(recorder)
