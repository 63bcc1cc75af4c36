"""The text of `rtdenoise doctor`: lines of 80 columns, made of nothing but what --json prints."""

from __future__ import annotations

import textwrap
from typing import Any

from ..errors import printable

WIDTH, LABEL = 80, 18  # columns of the text, and of its labels


def wrapped(label: str, text: str, indent: int = 2) -> list[str]:
    """Return *text* as lines of at most `WIDTH` columns, to the right of its label."""
    first, rest = f"{'':<{indent}}{label:<{LABEL}} ", " " * (indent + LABEL + 1)
    lines: list[str] = []
    for part in text.split("\n"):
        lines += textwrap.wrap(
            printable(part.strip()),
            WIDTH,
            initial_indent=rest if lines else first,
            subsequent_indent=rest,
            break_on_hyphens=False,
            break_long_words=False,
        )
    return lines


def finding_lines(finding: dict[str, Any]) -> list[str]:
    """Return the lines of a finding."""
    lines = wrapped(finding["topic"], f"{finding['state']:<5} {finding['found']}", 0)
    return lines + (wrapped("", f"-> {finding['fix']}", 0) if finding["fix"] else [])


def trial_lines(trial: dict[str, Any]) -> list[str]:
    """Return the lines of a trial: a heading with its command, and what was measured."""
    lines = ["", *_paragraph(f"{trial['command']}: {trial['verdict']}")]
    if "hops" in trial:
        hops, loop = trial["hops"], trial["loop"]
        share = 100 * hops["p99_ms"] / hops["deadline_ms"]
        parts = {name: _ms(ms) for name, ms in trial["latency_ms"].items()}
        lines += wrapped(
            "hops",
            f"p50 {hops['p50_ms']:.2f}, p99 {hops['p99_ms']:.2f}, max {hops['max_ms']:.2f} ms of "
            f"{hops['deadline_ms']:.2f} (p99 is {share:.0f} %): {hops['verdict']}; "
            f"{trial['late']} late, {trial['failed']} failed",
        )
        pace = f"{trial['pace']:.2f} x real time"
        if trial["pace"] > 1.5:
            pace += " (no clock holds this device back)"
        lines += wrapped(
            "driver",
            f"{trial['lost_in']} blocks lost in, {trial['lost_out']} out, in "
            f"{trial['seconds']:.1f} s at {trial['rate']} Hz, {pace}",
        )
        lines += wrapped(
            "delay stated, ms", " + ".join(f"{name} {told}" for name, told in parts.items())
        )
        measured = "no: no chirp was played from one device to another"
        if trial["chirp"]:
            measured = "no: the input does not hear the output"
        if loop is not None:
            measured = (
                f"{loop['samples']} samples, {loop['ms']:.1f} ms from output to input; the driver "
                f"states {_ms(loop['reported_ms'])}; with the model {trial['total_ms']:.1f} ms"
            )
        lines += wrapped("delay measured", measured)
    for reason in trial["reasons"]:
        lines += wrapped("no, because", reason)
    return lines


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(
        printable(text), WIDTH, subsequent_indent="  ", break_on_hyphens=False
    )  # a word that is too long is broken


def answer_lines(report: dict[str, Any]) -> list[str]:
    """Return the lines of the answer; the last ones can be pasted."""
    model = printable(report["model"])
    if report["verdict"] == "no":
        reasons = "; ".join(reason.split("\n")[0] for reason in report["reasons"])
        told = f"no: {model} does not run live here" + (f": {reasons}" if reasons else "")
    else:
        told = f"{report['verdict']}: {model} runs live here"
    lines = ["", *_paragraph(told)]
    for sentence in report["advice"]:
        lines += _paragraph(sentence)
    lines += [f"  {line}" for line in (report["command"], report["better"]) if line]
    return lines
