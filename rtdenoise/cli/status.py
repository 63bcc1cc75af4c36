"""A status line for a live stream, on stderr; a log gets plain lines."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from .log import log_line

LOG_S, EVENT_S = 60.0, 10.0  # time between two lines of a log, and after an xrun or a late hop


def level_bar(level_db: float, width: int = 12) -> str:
    """Return a level of -60 to 0 dBFS as a bar of *width* characters.

    >>> level_bar(-30.0, 4)
    '##..'
    """
    full = round(width * min(1.0, max(0.0, 1 + level_db / 60)))
    return "#" * full + "." * (width - full)


def status_text(status: dict[str, Any], width: int) -> str:
    """Return the numbers of a stream as one line, in the longest form that fits in *width*.

    Every form has the levels, the load, the xruns and the late hops; 40 columns are enough for
    counts of up to two digits.

    Args:
        status: The numbers, as `Session.status` returns them.
        width: Most characters of the line.
    """
    s = status
    load, counts = f"{s['load_percent']:.0f} %", f"xruns {s['xruns']}  late {s['late']}"
    hop = f"hop p50 {s['p50_ms']:.2f} p99 {s['p99_ms']:.2f} ms ({load}"

    def levels(bar: int, gap: str) -> str:
        return gap.join(
            f"{end} {level_bar(s[f'{end}_db'], bar)} {s[f'{end}_db']:4.0f} dB"
            for end in ("in", "out")
        )

    forms = (
        f"{levels(12, '   ')}   {hop} of the deadline)   {counts}",
        f"{levels(8, '  ')}  {hop})  {counts}",
        f"{levels(8, '  ')}  load {load}  {counts}",
        f"in {s['in_db']:.0f} dB  out {s['out_db']:.0f} dB  load {load}  {counts}",
        f"in {s['in_db']:.0f} out {s['out_db']:.0f} {load} xruns {s['xruns']} late {s['late']}",
    )
    return next((form for form in forms if len(form) <= width), forms[-1][: max(0, width)])


class StatusLine:
    """A status line, which is overwritten in a terminal; a log gets a line a minute.

    After an xrun or a late hop, a log gets a line at once, unless there was one just before. The
    width of the terminal is asked for each time, so that the line follows its changes.

    Args:
        quiet: Whether nothing is shown.

    Attributes:
        shows: Whether anything is shown.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.shows, self._terminal = not quiet, sys.stderr.isatty()
        self._told_s, self._drawn = time.monotonic(), 0
        self._events = (0, 0)

    def show(self, status: dict[str, Any]) -> None:
        """Show *status*, as `Session.status` returns it."""
        if not self.shows:
            return
        if self._terminal:
            text = status_text(status, _columns() - 1)
            sys.stderr.write(self._erased() + text)
            sys.stderr.flush()
            self._drawn = len(text)
            return
        events = (status["xruns"], status["late"])
        if time.monotonic() - self._told_s >= (LOG_S if events == self._events else EVENT_S):
            log_line(status_text(status, 200))
            self._told_s, self._events = time.monotonic(), events

    def clear(self) -> None:
        """Remove the line, before something else is printed."""
        if self._drawn:
            sys.stderr.write(self._erased())
            sys.stderr.flush()
            self._drawn = 0

    def _erased(self) -> str:
        """Return what erases the line, also if a narrower terminal has broken it into several."""
        above = max(0, self._drawn - 1) // _columns()
        return (f"\x1b[{above}A" if above else "") + "\r\x1b[J"


def _columns() -> int:
    """Return the width of the terminal now; the variable COLUMNS does not follow its changes."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
