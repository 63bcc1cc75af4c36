"""What `rtdenoise file` tells: lines for people on stderr, JSON lines on stdout, the exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import AudioError, Problem, printable
from ..sound.pending import STD
from .advice import with_advice

if TYPE_CHECKING:
    from ..files.batch import Job, Plan
    from ..files.offline import Report


def as_dict(report: Report, model: str) -> dict[str, Any]:
    """Return a report as --json prints it."""
    from dataclasses import asdict

    return {
        **asdict(report),
        "status": "partial" if report.partial else "ok",
        "model": model,
        "seconds": report.seconds,
        "real_time_factor": report.real_time_factor,
        "warnings": list(report.warnings),
    }


class Reporter:
    """The reporter of what happened: lines on stderr, JSON lines on stdout, and the exit code.

    Args:
        args: The parsed arguments of the verb: `json`, `quiet` and `verbose` are used.
        advice: What to type about each problem.
    """

    def __init__(self, args: argparse.Namespace, advice: Mapping[Problem, str]) -> None:
        self.args, self.advice = args, advice
        self.failed: list[tuple[str, Exception]] = []
        self.done = self.skipped = 0

    def say(self, text: str, file: TextIO | None = None) -> None:
        """Print a line for people, unless they want quiet."""
        if not self.args.quiet:
            print(text, file=file or sys.stderr, flush=True)

    def json(self, line: dict[str, Any]) -> None:
        """Print a line for programs; NaN and infinity become null, because JSON has neither."""
        if self.args.json:
            from ..files.results import finite

            # ASCII is valid in every encoding, and keeps the bytes of names that are no UTF-8.
            print(json.dumps(finite(line)), flush=True)

    def plan(self, plan: Plan) -> None:
        """Report the inputs that are not processed."""
        for source in plan.left_out:
            self.say(f"{printable(source)}: left out, it is the output of another input")
        if plan.unread:
            from ..sound.inputs import told_skipped

            self.say(told_skipped(plan.unread))
        for source in plan.unread:
            self.json({"input": source, "status": "skipped", "reason": "not read"})
        for job in plan.skipped:
            self.skipped += 1
            self.say(f"{printable(job.source)}: skipped, {printable(job.target)} is there")
            reason = "its output is there"
            self.json(
                {"input": job.source, "output": job.target, "status": "skipped", "reason": reason}
            )
        for job, error in plan.failed:
            self.job(job, error)

    def job(self, job: Job, result: dict[str, Any] | Exception) -> None:
        """Report a job that has ended."""
        if isinstance(result, BrokenPipeError):  # as with `-o - | head`
            raise result
        if isinstance(result, Exception):
            self._failure(job, result)
            return
        partial = result["status"] == "partial"
        if partial:
            self.failed.append((job.source, AudioError(result["partial"], Problem.PARTIAL)))
        else:
            self.done += 1
        self.json(result)
        self.say(sentence(result))
        for warning in result["warnings"]:
            self.say(f"  warning: {warning}")
        if "scores" in result:
            self.say(f"  {score_line(result['scores'])} (against {printable(result['reference'])})")
        if "picture" in result:
            self.say(f"  picture: {printable(result['picture'])}")
        if partial:
            where = "stdout" if job.target == STD else printable(job.target)
            print(
                f"rtdenoise file: {result['partial']}. What can be read is in {where}",
                file=sys.stderr,
                flush=True,
            )

    def _failure(self, job: Job, error: Exception) -> None:
        """Report a job that failed."""
        from ..errors import RtdenoiseError

        self.failed.append((job.source, error))
        text = printable(with_advice(error, self.advice))
        if not isinstance(error, RtdenoiseError):
            text = printable(f"{job.source}: {type(error).__name__}: {error}. -vv shows where")
            if self.args.verbose > 1:
                import traceback

                traceback.print_exception(error)
        print(f"rtdenoise file: {text}", file=sys.stderr, flush=True)
        self.json({"input": job.source, "status": "failed", "error": text})

    def end(self) -> int:
        """Print the summary, if there was more than one file; return the exit code."""
        if self.done + self.skipped + len(self.failed) > 1:
            skipped = f", {self.skipped} skipped" if self.skipped else ""
            self.say(f"{self.done} done{skipped}, {len(self.failed)} failed")
            if self.done:
                for source, _ in self.failed:
                    print(f"  failed: {printable(source)}", file=sys.stderr)
        if not self.failed:
            return 0
        codes = {getattr(error, "exit_code", 1) for _, error in self.failed}
        return int(codes.pop()) if len(codes) == 1 and not self.done else 1


def sentence(line: dict[str, Any]) -> str:
    """Return what was done to a file, in two lines."""
    channels = {1: "mono", 2: "stereo"}.get(line["channels"], f"{line['channels']} channels")
    latency_ms = 1000 * line["latency"] / line["rate"]
    model = printable(line["model"])
    return (
        f"{printable(line['input'])} -> "
        f"{'stdout' if line['output'] == STD else printable(line['output'])}\n"
        f"  {line['seconds']:.2f} s, {line['rate']} Hz, {channels}, {line['format']} "
        f"{line['subtype']}{_bit_rates(line)}, with {model}, {latency_ms:.1f} ms latency "
        "compensated, "
        f"{line['real_time_factor']:.0f} x real time ({line['elapsed_s']:.2f} s)"
    )


def _bit_rates(line: dict[str, Any]) -> str:
    """Return the bit rates of lossy files before and after, as " 128 -> 128 kb/s"."""
    before, after = line["input_kbps"], line["output_kbps"]
    if after is None:
        return "" if before is None else f" (the input had {before:.0f} kb/s)"
    return f" {after:.0f} kb/s" if before is None else f" {before:.0f} -> {after:.0f} kb/s"


def score_line(scores: dict[str, dict[str, float]]) -> str:
    """Return the scores before and after as a line.

    >>> score_line({"before": {"SNR dB": 5.0}, "after": {"SNR dB": 11.26}})
    'SNR 5.00 -> 11.26 dB'
    """
    return ", ".join(
        f"{name.removesuffix(' dB')} {before:.2f} -> {scores['after'][name]:.2f}"
        + (" dB" if name.endswith(" dB") else "")
        for name, before in scores["before"].items()
    )
