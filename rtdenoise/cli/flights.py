"""The options of the flight recorder, and the signal that makes it write."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import AudioError, printable
from .arguments import file_name

if TYPE_CHECKING:
    from ..live.live import Live

KEEPS_NOTHING = "this run keeps none of its sound: --flight-recorder is 0"
MARK: signal.Signals | None = getattr(signal, "SIGUSR1", None)  # Windows has none


def add_flights(parser: argparse.ArgumentParser) -> None:
    """Add the options of the flight recorder to *parser*."""
    parser.add_argument(
        "--flight-recorder",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="keep the last seconds in memory, to be written after a glitch (default: 20; 0: none)",
    )
    parser.add_argument(
        "--flight-folder",
        type=file_name,
        default=".",
        metavar="DIR",
        help="folder in which they are written (default: this one)",
    )
    parser.add_argument(
        "--flight-on-glitch",
        action="store_true",
        help="write them of its own accord when a block was late, failed or was lost",
    )


def flights_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings for `Live` that *args* mean."""
    return {
        "tap_seconds": args.flight_recorder,
        "flight_folder": args.flight_folder,
        "flight_on_glitch": args.flight_on_glitch,
    }


@contextmanager
def asked_by_signal() -> Iterator[threading.Event]:
    """Return a context with an event that SIGUSR1 sets, which ends a process otherwise."""
    asked = threading.Event()
    if MARK is None:
        yield asked
        return
    before = signal.signal(MARK, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(MARK, before)


def write_flight(live: Live, tell: Callable[[str], None]) -> None:
    """Write the last seconds of a run, and tell where they are or why they are not there."""
    try:
        folder = live.mark()
        tell(f"the last seconds are in {printable(folder)}" if folder else KEEPS_NOTHING)
    except AudioError as error:
        tell(str(error))
