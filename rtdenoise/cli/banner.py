"""What `rtdenoise live` prints at its start and at its end, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import printable
from .ends import ring_notes

SHOWN = 10  # places of a recording that the summary lists


def banner(
    ends: tuple[str, str], processed_by: str, rate: int, latency_ms: Mapping[str, float | None]
) -> str:
    """Return the lines at the start: what is connected, the latency, and how to end it.

    Args:
        ends: Names of the input and the output.
        processed_by: Name of the model or the board.
        rate: Sample rate of both ends in Hz.
        latency_ms: The parts of the latency in ms. None: it is not known.
    """
    return "\n".join(
        [
            f"in: {ends[0]}",
            f"out: {ends[1]}",
            f"with: {processed_by}, at {rate} Hz",
            latency_text(latency_ms),
            "Ctrl-C ends it.",
        ]
    )


def latency_text(latency_ms: Mapping[str, float | None]) -> str:
    """Return the parts of the latency and their sum, in which unknown parts are not taken for 0.

    >>> latency_text({"device in": None, "block": 10.7})
    'latency in ms: device in unknown + block 10.7 = more than 10.7'
    """
    parts = [
        f"{name} {'unknown' if ms is None else f'{ms:.1f}'}" for name, ms in latency_ms.items()
    ]
    known = sum(ms for ms in latency_ms.values() if ms is not None)
    more = "more than " if None in latency_ms.values() else ""
    return f"latency in ms: {' + '.join(parts)} = {more}{known:.1f}"


def summary_text(s: dict[str, Any]) -> str:
    """Return the summary of a run as lines for people."""
    share = 100 * s["hop_p99_ms"] / s["deadline_ms"]
    lines = [
        f"{s['seconds']:.1f} s at {s['rate']} Hz, {s['callbacks']} callbacks, "
        f"xruns {s['xruns_in']} in, {s['xruns_out']} out",
        f"hops {s['hops']}: p50 {s['hop_p50_ms']:.2f}, p99 {s['hop_p99_ms']:.2f} "
        f"({share:.0f} % of the deadline), max {s['hop_max_ms']:.2f} ms; "
        f"late {s['late']}, dry {s['dry']}, failed {s['failed']}",
    ]
    notes = {
        "blocks silent because the effect was late": s["silent_blocks"],
        "samples clipped": s["clipped"],
        "NaN or infinite input samples taken as silence": s["nonfinite"],
        "blocks silent after an error": s["faults"],
    }
    if s["gaps"]:
        times = "once" if s["gaps"] == 1 else f"{s['gaps']} times"
        lines.append(f"a device was gone {times}, for {s['gap_seconds']:.1f} s in all")
    lines += [f"{count} {what}" for what, count in notes.items() if count]
    if s["recording"]:
        lines += _recording_lines(s["recording"])
    lines += ring_notes(s["clock_ring"])
    if s["fault"]:
        lines.append(f"the last error: {s['fault']}")
    return "\n".join(lines)


def _recording_lines(recording: dict[str, Any]) -> list[str]:
    """Return lines that say where the recording is, and where it is silent."""
    silent = recording["silent"]
    lines = [f"recording: {recording['seconds']:.2f} s in {printable(recording['file'])}"]
    if silent:
        lines[0] += f"; {recording['silent_s']:.2f} s of them were lost and are silent:"
    lines += [
        f"  at {p['at_s']:.2f} s for {p['seconds']:.2f} s ({p['why']})" for p in silent[:SHOWN]
    ]
    if len(silent) > SHOWN:
        lines.append("  and at more places, which --json lists")
    return lines
