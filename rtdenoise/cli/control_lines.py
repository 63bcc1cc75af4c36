"""What a live run answers, as lines for people."""

from __future__ import annotations

from typing import Any

from ..chain.parameter import Parameter
from .status import status_text as meters

WIDEST = 200  # columns


def status_text(status: dict[str, Any]) -> str:
    """Return the status of a run as lines."""
    s = status
    runs = f"model {s['model']}" if s["model"] else f"board: {', '.join(s['board']) or 'empty'}"
    limit = "no limit" if s["atten_lim_db"] is None else f"at most {s['atten_lim_db']:g} dB"
    switched = [name for name in ("bypass", "residual") if s[name]]
    known = [ms for ms in s["latency_ms"].values() if ms is not None]
    device = "  (a device is gone; waiting)" if s["waiting"] else ""
    preset = f", preset {s['preset']}" if s["preset"] else ""
    lines = [
        f"process {s['pid']}{preset}: {' -> '.join(s['ends'])}, {s['rate']} Hz{device}",
        f"{runs}; mix {s['mix']:g} %, {limit}{''.join(f', {name} on' for name in switched)}",
        f"latency {sum(known):.1f} ms, of which the stage {s['delay_samples']} samples; "
        f"running for {s['seconds']:.0f} s",
        meters(s, WIDEST),
        f"dry {s['dry']}  failed {s['failed']}  gaps {s['gaps']}  clipped {s['clipped']}",
    ]
    if s["drift_ppm"] is not None:
        lines.append(f"the input's clock is {s['drift_ppm']:+.1f} ppm faster than the output's")
    if s["recording"] is not None:
        lines.append(f"recording to {s['recording']['file']}, {s['recording']['seconds']:.1f} s")
    return "\n".join(lines)


def changed_text(answer: dict[str, Any]) -> str:
    """Return what runs after a change, for people."""
    runs = answer["model"] or f"board: {', '.join(answer['board']) or 'empty'}"
    if not answer["heard"]:
        return f"{runs}, when sound comes again"
    added = answer["delay_added"]
    return f"{runs}" + (f"; the delay is {added} samples more from now on" if added else "")


def record_text(answer: dict[str, Any]) -> str:
    """Return where a recording is, for people."""
    return f"{answer['file']}, {answer['seconds']:.1f} s"


def plain(value: Any) -> str:
    """Return a value as it is typed.

    >>> plain(True), plain(None), plain(3.0)
    ('on', 'none', '3')
    """
    if value is None or isinstance(value, bool):
        return {None: "none", True: "on", False: "off"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def parameters_text(rows: list[dict[str, Any]]) -> str:
    """Return the parameters of a board as a table."""
    width = max((len(row["path"]) for row in rows), default=0)
    lines = []
    for row in rows:
        lines.append(f"{row['path']:<{width}}  {plain(row['value'])} {row['unit']}  {_range(row)}")
    return "\n".join(map(str.rstrip, lines)) or "no effect that runs has a parameter"


def _range(row: dict[str, Any]) -> str:
    """Return in words what values a parameter takes."""
    if row["choices"]:
        return f"({', '.join(row['choices'])})"
    text = Parameter(row["name"], low=row["least"], high=row["most"]).range
    return f"({text})" if text else ""


def events_text(events: list[dict[str, Any]]) -> str:
    """Return the events of a run, one a line."""
    lines = [f"{event['number']:>3}  {event['at_s']:9.2f} s  {event['text']}" for event in events]
    return "\n".join(lines) or "nothing has happened"
