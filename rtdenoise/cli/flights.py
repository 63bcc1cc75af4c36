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
def marked_by_signal(live: Live, tell: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Return a context with a function that writes a flight if SIGUSR1 came since its last call.

    Args:
        live: The run.
        tell: Function that gets a sentence about the flight.
    """
    asked = threading.Event()

    def look() -> None:
        if not asked.is_set():
            return
        asked.clear()
        try:
            tell(f"the last seconds are in {printable(live.mark())}")
        except AudioError as error:
            tell(str(error))

    if MARK is None or live.tap is None:
        yield look
        return
    before = signal.signal(MARK, lambda *_: asked.set())
    try:
        yield look
    finally:
        signal.signal(MARK, before)
