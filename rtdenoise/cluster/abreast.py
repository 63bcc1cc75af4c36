"""A long recording on all cores of one machine: its pieces side by side."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from copy import deepcopy
from pathlib import Path
from threading import Event
from typing import Any

from ..chain.effect import Effect
from ..errors import RtdenoiseError
from ..files import batch
from ..files.digest import of_text
from ..files.offline import Report, process_file
from ..sound.pending import STD, make_folder
from .cuts import Cut, check_output, join, piece, plan


class _Stopped(Exception):  # noqa: N818 - not an error
    """The end of the work on a piece because another one has failed."""


def process(
    source: str | Path,
    target: str | Path,
    effect: Effect,
    longest_s: float | None,
    key: str,
    threads: int,
    watch: Callable[[float], None] = lambda seconds: None,
    **settings: Any,
) -> Report:
    """Process a recording, and if it is long, in pieces that threads share.

    The pieces wait for each other in a hidden folder beside the output. What a run that was killed
    has finished of them is there for the next one; after the join, and after an error, it is
    removed.

    Args:
        source: Name of the recording.
        target: Name of the output.
        effect: The effect, of which each piece gets a copy.
        longest_s: Most seconds of a piece. None: the recording stays whole.
        key: Digest of the recording, the effect and its settings.
        threads: Number of pieces at once.
        watch: Function that is called after each block of a piece with its seconds; it may raise
            to stop the work.
        settings: Those of `process_file`.

    Raises:
        AudioError: If the recording cannot be read, or a file cannot be written.
        ModelError: If a net failed in any window.
        UsageError: If the recording is longer, and the effect never forgets.
    """
    cut = longest_s is not None and str(source) != STD
    planned = plan(source, effect, longest_s or 0.0) if cut else []
    if len(planned) < 2:
        return process_file(source, target, effect, watch=watch, **settings)
    check_output(source, target, effect, settings.get("kbps"), settings.get("overwrite", False))
    folder = _folder(target)
    make_folder(folder)
    files = {cut: folder / cut.name(key) for cut in planned}
    for old in set(folder.iterdir()) - set(files.values()):
        old.unlink()  # of a run with another content, effect or length
    try:
        _make(source, effect, files, threads, watch)
        more = settings | {"watch": lambda seconds: watch(0.0)}
        return join(source, target, effect, planned, list(files.values()), **more)
    except RtdenoiseError:
        for file in files.values():
            file.unlink(missing_ok=True)
        raise
    finally:
        with suppress(OSError):  # it is not empty
            folder.rmdir()


def _make(
    source: str | Path,
    effect: Effect,
    files: Mapping[Cut, Path],
    threads: int,
    watch: Callable[[float], None],
) -> None:
    """Process the pieces that are not there."""
    stop = Event()

    def checked(seconds: float) -> None:
        if stop.is_set():
            raise _Stopped
        watch(seconds)

    def work(cut: Cut, own: Effect) -> None:
        if not files[cut].exists():
            piece(source, own, cut, files[cut], checked)

    runs = batch.run(files, work, lambda: deepcopy(effect), threads, stop, effect.prepare_thread)
    with closing(runs):
        for _, result in runs:
            if isinstance(result, Exception):
                raise result


def _folder(target: str | Path) -> Path:
    """Return the folder for the pieces of *target*: hidden, beside it."""
    if str(target) == STD or (Path(target).exists() and not Path(target).is_file()):
        beside = Path(tempfile.gettempdir(), f"of-{os.getpid()}")
    else:
        beside = Path(target).absolute()
    return beside.parent / f".rtdenoise-{of_text(str(beside))[:12]}.pieces"
