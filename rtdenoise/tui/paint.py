"""Numbers as lines of text: levels, hop times, facts. A line is never wider than it may be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from ..audio import Samples, levels_db
from ..core.tape import LATE, Calls
from ..errors import printable

LEAST_DB = -60.0  # left end of a meter
LOUD_DB, CLIP_DB = -12.0, -3.0  # where a meter becomes yellow and red
HOLD_S, FALL_DB_S = 1.5, 20.0  # of a peak that is held
SILENT_DB = -80.0  # below it, a reduction means nothing
HEIGHTS = " ▁▂▃▄▅▆▇█"
WIDE = 1.25  # right end of the histogram, in deadlines
DIM, BOLD, BAD = "grey62", "bold", "bold red"


@dataclass
class Level:
    """The level of one end: peak, RMS, and the peak that is held, in dBFS."""

    peak_db: float = -120.0
    rms_db: float = -120.0
    held_db: float = -120.0
    held_s: float = 0.0

    def update(self, sound: Samples, now_s: float) -> None:
        """Take the level of *sound* (rows, n) at the time *now_s*."""
        peak_db, self.rms_db = levels_db(sound)
        self.peak(peak_db, now_s)

    def peak(self, peak_db: float, now_s: float) -> None:
        """Take a peak at the time *now_s*."""
        self.peak_db = peak_db
        if peak_db >= self.held(now_s):
            self.held_db, self.held_s = peak_db, now_s

    def held(self, now_s: float) -> float:
        """Return the peak that is held at the time *now_s*."""
        return max(-120.0, self.held_db - FALL_DB_S * max(0.0, now_s - self.held_s - HOLD_S))


def meter(name: str, level: Level, now_s: float, width: int) -> Text:
    """Return a meter as a line: RMS as a bright bar, peak as a dim one, the held peak as a mark."""
    told = f" peak {level.peak_db:6.1f}  RMS {level.rms_db:6.1f} dBFS"
    if width < 60:
        told = f" {level.peak_db:4.0f} pk {level.rms_db:4.0f} rms"
    line = Text(f"{name:<4}", BOLD)
    cells = max(4, width - 4 - len(told))
    rms, peak, held = (
        round(cells * _share(db)) for db in (level.rms_db, level.peak_db, level.held(now_s))
    )
    drawn = []
    for cell in range(cells):
        mark = (
            "┃" if held and cell == held - 1 else "█" if cell < rms else "▒" if cell < peak else ""
        )
        heat = _heat(LEAST_DB * (1 - (cell + 0.5) / cells))
        drawn.append((mark or "·", heat if mark else "grey30"))
    _append(line, drawn)
    line.append(told, BAD if level.peak_db >= 0 else "")
    return cut(line, width)


def reduction(dry: Level, wet: Level, state: dict[str, Any], width: int) -> Text:
    """Return the reduction in dB as a line, and what is set."""
    line = Text("cut ", BOLD)
    told = "   -- dB"
    cells = width // 4 if width >= 60 else 4
    full = 0
    if dry.rms_db > SILENT_DB:
        cut_db = dry.rms_db - max(wet.rms_db, SILENT_DB - 20)
        told, full = f" {cut_db:5.1f} dB", round(cells * min(1.0, max(0.0, cut_db / 40)))
    line.append("█" * full, "cyan").append("·" * (cells - full), "grey30").append(told)
    for name in ("bypass", "residual"):
        if state[name]:
            line.append("  ").append(f" {name.upper()} ", "bold black on yellow")
    limit = state["atten_lim_db"]
    line.append(f"  mix {state['mix']:.0f} %")
    line.append("  no limit" if limit is None else f"  limit {limit:g} dB")
    return cut(line, width)


def _append(line: Text, cells: Iterable[tuple[str, str]]) -> None:
    """Append cells, each a character and its style, to *line*, neighbours of a style as one."""
    for style, group in groupby(cells, key=itemgetter(1)):
        line.append("".join(character for character, _ in group), style)


def _side(x: int, deadline: int) -> str:
    return "red" if x >= deadline else "green"


def _share(level_db: float) -> float:
    """Return where a level is on a meter, from 0 to 1."""
    return min(1.0, max(0.0, 1 - level_db / LEAST_DB))


def _heat(level_db: float) -> str:
    return "red" if level_db > CLIP_DB else "yellow" if level_db > LOUD_DB else "green"


@dataclass(frozen=True)
class Hops:
    """The times of the calls that are kept.

    Attributes:
        ms: What each took.
        deadline_ms: What the last one might take.
        late: How many were late.
    """

    ms: NDArray[np.float64]
    deadline_ms: float
    late: int


def hops_of(calls: Calls) -> Hops | None:
    """Return the times of the calls in which a net ran; of all calls, if none has one."""
    with_nets = calls[calls["hops"] > 0]
    found = with_nets if len(with_nets) else calls
    if not len(found):
        return None
    late = int(np.count_nonzero(found["flags"] & LATE))
    return Hops(1e3 * found["seconds"], 1e3 * float(found["deadline_s"][-1]), late)


def histogram(hops: Hops | None, width: int, height: int) -> list[Text]:
    """Return a histogram of the hop times: a title, bars on a log scale, and an axis.

    The last column has all that took longer. The line is the deadline; what is right of it is red.
    """
    if hops is None or not hops.deadline_ms > 0:
        return [Text("no hop times yet", DIM), *[Text()] * (height - 1)]
    most_ms = WIDE * hops.deadline_ms
    bars = np.histogram(np.minimum(hops.ms, most_ms * 0.999), width, (0, most_ms))[0]
    at = min(width - 1, int(width / WIDE))
    p50, p99 = np.percentile(hops.ms, (50, 99))
    title = Text("hops ", BOLD)
    title.append(f"p50 {p50:.2f}  p99 {p99:.2f}  max {hops.ms.max():.2f} ms  ")
    title.append(f"late {hops.late} of {len(hops.ms)}", BAD if hops.late else DIM)
    rows = max(1, height - 2)
    full = 8 * rows
    scaled = np.log1p(bars) / math.log1p(max(1, int(bars.max())))
    eighths = np.where(bars > 0, np.maximum(1, np.rint(full * scaled)), 0).astype(int)
    lines = [cut(title, width)]
    for row in reversed(range(rows)):
        cells = [
            ("│", "yellow") if x == at and each == 0 else (HEIGHTS[each], _side(x, at))
            for x, each in enumerate(np.clip(eighths - 8 * row, 0, 8).tolist())
        ]
        lines.append(Text())
        _append(lines[-1], cells)
    deadline = f"{hops.deadline_ms:.1f} ms "
    axis = Text("0".ljust(max(1, at - len(deadline))), DIM)
    axis.append(deadline).append("┴", "yellow").append(" late" if width >= 60 else "", DIM)
    return [*lines, cut(axis, width)]


def heading(state: dict[str, Any], slots: Sequence[str | None], slot: int) -> list[Text]:
    """Return what runs and between which ends, as pieces of a line.

    Args:
        state: The status of the run.
        slots: The names of the models between which a key changes. None: nothing is chosen yet.
        slot: The slot that was chosen last.
    """
    runs = state["model"] or "board: " + (", ".join(state["board"] or ()) or "empty")
    found = [] if slots[slot] == runs else [_told(runs, BOLD)]
    for at, name in enumerate(slots):
        style = "bold black on cyan" if at == slot else DIM
        found.append(_told(f"[{at + 1}] {name or '-'}", style))
    found.append(_told(" -> ".join(_short(str(end)) for end in state["ends"])))
    return found if not state["preset"] else [*found, _told(f"({state['preset']})", DIM)]


def _short(end: str) -> str:
    """Return the name of an end; of a file by its whole path, the last part."""
    whole = end.startswith(("/", "~", "\\\\")) or end[1:3] == ":\\"
    return end.replace("\\", "/").rsplit("/", 1)[-1] if whole else end


def facts(state: dict[str, Any]) -> list[Text]:
    """Return the numbers of a run, the most important ones first, as pieces of lines."""
    s = state
    known = {name: ms for name, ms in s["latency_ms"].items() if ms is not None}
    parts = " + ".join(f"{name} {ms:.1f}" for name, ms in known.items())
    found = []
    recording = s["recording"]
    if recording is not None:
        name = str(recording["file"]).replace("\\", "/").rsplit("/", 1)[-1]
        found.append(_told(f"● REC {recording['seconds']:.0f} s {name}", BAD))
    if s["waiting"]:
        found.append(_told("a device is gone; waiting", BAD))
    found += [
        _counted("xruns", s["xruns"]),
        _counted("late", s["late"]),
        _counted("dry", s["dry"]),
        _counted("failed", s["failed"]),
        _counted("gaps", s["gaps"]),
        _counted("clipped", s["clipped"]),
        _told(f"load {s['load_percent']:.0f} %", BAD if s["load_percent"] > 100 else ""),
        _told(f"latency {sum(known.values()):.1f} ms"),
        _told("no drift" if s["drift_ppm"] is None else f"drift {s['drift_ppm']:+.1f} ppm"),
        _told(f"{s['rate']} Hz, {s['channels']} ch, block {s['block'] or 'varies'}"),
        _told(f"({parts})", DIM),
        _told(clock(s["seconds"]), DIM),
    ]
    return found


def clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds.

    >>> clock(3723.4)
    '1:02:03'
    """
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _told(text: str, style: str = "") -> Text:
    return Text(printable(text), style)


def _counted(name: str, count: int) -> Text:
    return Text(f"{name} {count}", BAD if count else DIM)


def flow(pieces: Iterable[Text], width: int, lines: int) -> list[Text]:
    """Return *pieces* in at most so many lines, a piece never broken; what has no room is left out.

    >>> [line.plain for line in flow([Text("one"), Text("two"), Text("three")], 9, 2)]
    ['one  two', 'three']
    """
    found: list[Text] = []
    for piece in pieces:
        piece = cut(piece.copy(), width)
        if found and found[-1].cell_len + 2 + piece.cell_len <= width:
            found[-1] = Text.assemble(found[-1], "  ", piece)
        elif len(found) < lines:
            found.append(piece)
    return found


def cut(line: Text, width: int) -> Text:
    """Return *line* with at most *width* cells."""
    line.truncate(max(0, width), overflow="ellipsis")
    return line
