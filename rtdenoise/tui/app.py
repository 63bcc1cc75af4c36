"""The program that shows a run."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

from textual.app import App

from .desk import Desk
from .source import Source


class Watch(App[None]):
    """The program that shows a run.

    Args:
        source: The run.
        own: Whether it belongs to the run, so that it goes with it.
    """

    ENABLE_COMMAND_PALETTE = False
    TITLE = "rtdenoise"

    def __init__(self, source: Source, own: bool = False) -> None:
        super().__init__()
        self._source, self._own = source, own

    def get_default_screen(self) -> Desk:
        """Return the only screen."""
        return Desk(self._source, self._own)

    def on_mount(self) -> None:
        """Let SIGTERM end it as any end does, so that the terminal is as before."""
        with suppress(
            NotImplementedError, ValueError, RuntimeError
        ):  # Windows; not the main thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)
