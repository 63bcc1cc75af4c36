"""Say whether this machine runs a model live, and which settings work.

  rtdenoise doctor                          try the default microphone and speakers
  rtdenoise doctor --in usb -m speech-small try other devices and another model
  rtdenoise doctor --in null --out null     try the model without a sound card

It looks at the sound system and the machine, opens the devices as `rtdenoise live` does, and runs
the model in the audio thread for some seconds at each setting, until one works. It plays a short
quiet chirp: where the input hears the output, the delay of the devices is measured. Nothing else is
played, and nothing is recorded. docs/live.md explains what it prints.

Exit codes: 0 the model runs live here, 1 it does not, 2 usage, 3 device, 4 model.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, UsageError, printable
from .arguments import DEFAULT_MODEL, add_json, add_model

if TYPE_CHECKING:
    from ..chain.effect import Effect
    from ..live.devices import Cards
    from ..proof.doctor import Answer, Question, Refusal
    from ..proof.machine import Driver, Finding
    from ..proof.rehearsal import Setting, Trial

HELP = "say whether live sound works here, and with which settings"
WIDTH, LABEL = 80, 18  # columns of the text, and of its labels
SETTINGS = ("in", "out", "model", "rate", "channels", "block", "latency")
USUAL = {"in": "mic", "out": "speakers", "model": DEFAULT_MODEL, "latency": "low"}
FIXES = {
    "devices": "start the sound server (PipeWire or PulseAudio), or plug a device in",
    "sound cards": "plug one in; a container and a remote machine have none",
    "permission": {
        "linux": "sudo usermod -aG audio $USER, and log in again",
        "darwin": "System Settings, Privacy & Security, Microphone: allow the terminal",
        "win32": "Settings, Privacy & security, Microphone: allow desktop apps",
    }.get(sys.platform, ""),
    "CPU governor": "if hops are late: powerprofilesctl set performance, or "
    "sudo cpupower frequency-set -g performance",
    "real-time rights": "if sound is lost: install rtkit, or give group audio `rtprio 95` in "
    "/etc/security/limits.d/audio.conf",
    "load": "close other programs, and run this again",
    "microphone": "is it muted, is it the right device and channel (--in), has it permission?",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the ends and the settings of `live`, --seconds, --silent and --json to *parser*."""
    where = "index or part of the name of a device, %s, or null (default: %s)"
    parser.add_argument(
        "-i", "--in", dest="source", default="mic", metavar="DEVICE",
        help="input: " + where % ("mic", "mic"),
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", default="speakers", metavar="DEVICE",
        help="output: " + where % ("speakers", "speakers"),
    )  # fmt: skip
    add_model(parser)
    parser.add_argument(
        "--rate", type=int, metavar="HZ", help="sample rate of the sound (default: the net's)"
    )
    parser.add_argument(
        "--channels", type=int, metavar="N", help="channels of the sound, 1 or 2 (default: 1)"
    )
    parser.add_argument(
        "--block", type=int, metavar="N",
        help="samples per callback to try first (default: one hop of the net)",
    )  # fmt: skip
    parser.add_argument(
        "--latency", default="low", metavar="low|high|SECONDS",
        help="latency of the devices to try first (default: low)",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a trial (default: 3)")
    parser.add_argument(
        "--silent", action="store_true", help="play no chirp; the delay is then not measured"
    )
    add_json(parser, "one object")


def make_effect(model: str) -> Effect:
    """Return the effect that runs a model."""
    from ..chain.effect import Denoise

    return Denoise(model)


def run(
    args: argparse.Namespace,
    make: Callable[[str], Effect] = make_effect,
    cards: Cards | None = None,
    driver: Driver | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Examine, print what is found, and return the exit code.

    Args:
        args: The flags.
        make: Function that makes the effect of a model.
        cards: Object that finds and opens the sound devices. None: PortAudio.
        driver: Object that lists the sound devices. None: PortAudio.
        clock: Function that returns the time in seconds, for the pace of the devices.
    """
    from ..live.devices import PortAudio
    from ..live.ends import DeviceEnd
    from ..proof.doctor import blocked, examine_machine, judge, microphone, trials

    question = _question(args)
    ends = (question.setting.source, question.setting.sink)
    if driver is None and any(isinstance(end, DeviceEnd) for end in ends):
        driver = PortAudio()
    cards = cards or PortAudio()
    report: dict[str, Any] = {"model": args.model, "findings": [], "trials": []}

    def tell(lines: list[str]) -> None:
        if not args.json:
            print("\n".join(lines), flush=True)

    def note(finding: Finding) -> None:
        report["findings"].append(finding_dict(finding))
        tell(finding_lines(report["findings"][-1]))

    findings = []
    for finding in examine_machine(question, cards, driver, ("--in", "--out")):
        findings.append(finding)
        note(finding)
    tried: list[Trial | Refusal] = []
    if not blocked(findings):
        for trial in trials(question, make, cards, clock, _waiting(args)):
            tried.append(trial)
            report["trials"].append(trial_dict(args, trial))
            tell(trial_lines(report["trials"][-1]))
        if (heard := microphone(question, tried)) is not None:
            note(heard)
    report |= answer_dict(args, judge(question, tried))
    tell(answer_lines(report))
    if args.json:
        print(json.dumps(report))
    return int(report["exit_code"])


def _question(args: argparse.Namespace) -> Question:
    """Return what the flags ask; refuse wrong ones before anything is loaded."""
    from ..live.ends import FileEnd, parse_end
    from ..live.negotiate import WishError, Wishes
    from ..nets.box import models
    from ..proof.doctor import Question
    from ..proof.rehearsal import Setting

    if not 1 <= args.seconds <= 600:
        raise UsageError(f"--seconds {args.seconds:g}: wanted 1 to 600")
    try:
        latency: str | float = float(args.latency)
    except ValueError:
        latency = args.latency
    wishes = (args.rate or None, args.channels or None, args.block, latency)
    try:
        Wishes(*wishes)
    except WishError as error:
        raise UsageError(f"--{error.setting} {error.value}: {error.reason}") from error
    source, sink = parse_end(args.source, "input"), parse_end(args.out, "output")
    if isinstance(source, FileEnd) or isinstance(sink, FileEnd):
        raise UsageError("a file is no sound device: wanted a device or null; files always work")
    others = [name for name in models() if name != args.model]
    setting = Setting(source, sink, *wishes)
    return Question(args.model, setting, args.seconds, args.silent, others)


def _waiting(args: argparse.Namespace) -> Callable[[str, Setting], None]:
    """Return a function that tells on a terminal what is tried, because it takes seconds."""

    def begin(model: str, setting: Setting) -> None:
        if sys.stderr.isatty() and not args.json:
            told = f"trying {command(args, model, setting)}"
            print(printable(told)[: WIDTH - 1], end="\r", file=sys.stderr, flush=True)

    return begin


def command(args: argparse.Namespace, model: str, setting: Setting) -> str:
    """Return the command of a live run with these settings; the usual ones are left out."""
    values = {
        "in": args.source,
        "out": args.out,
        "model": model,
        "rate": setting.rate,
        "channels": setting.channels,
        "block": setting.block,
        "latency": setting.latency,
    }
    words = ["rtdenoise", "live"]
    for name, value in values.items():
        if value is not None and value != USUAL.get(name):
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def finding_dict(finding: Finding) -> dict[str, Any]:
    """Return a finding as --json prints it, with what to do about it if it is not ok."""
    fix = "" if finding.state == "ok" else FIXES.get(finding.topic.value, "")
    return {**asdict(finding), "topic": finding.topic.value, "fix": fix}


def trial_dict(args: argparse.Namespace, trial: Trial | Refusal) -> dict[str, Any]:
    """Return a trial as --json prints it, with the command that it stands for."""
    from ..proof.doctor import Refusal

    report = {
        "command": command(args, trial.model, trial.setting),
        "model": trial.model,
        "block": trial.setting.block,
        "latency": trial.setting.latency,
        "verdict": trial.verdict,
        "reasons": trial.reasons,
    }
    if isinstance(trial, Refusal):
        return report
    names = (
        "rate",
        "seconds",
        "pace",
        "late",
        "failed",
        "lost_in",
        "lost_out",
        "latency_ms",
        "chirp",
    )
    loop = None
    if trial.loop is not None:
        loop = {"samples": trial.loop, "ms": trial.loop_ms, "reported_ms": trial.reported_ms}
    return {
        **report,
        **{name: getattr(trial, name) for name in names},
        "hops": trial.hops.as_dict(),
        "input_db": trial.input_db,
        "loop": loop,
        "total_ms": trial.total_ms,
    }


def answer_dict(args: argparse.Namespace, answer: Answer) -> dict[str, Any]:
    """Return the answer as --json prints it, with its sentences and the exit code."""
    return {
        "verdict": answer.verdict,
        "reasons": answer.reasons,
        "command": command(args, answer.trial.model, answer.trial.setting)
        if answer.trial
        else None,
        "better": command(args, answer.better.model, answer.better.setting)
        if answer.better
        else None,
        "advice": answer_advice(answer),
        "exit_code": DeviceError.exit_code if not answer.device else int(answer.verdict == "no"),
    }


def answer_advice(answer: Answer) -> list[str]:
    """Return what to do after the answer, as sentences."""
    from .verdict import advice

    if not answer.device:
        return ["No sound device could be tried. Files need none: rtdenoise file"]
    if answer.verdict == "no" and answer.better is None and not answer.slow:
        return [
            "The model is fast enough, but sound is lost on its way: see the notes above, try "
            "--latency 0.2, another device or another cable."
        ]
    rivals = {answer.better.model: answer.better.hops} if answer.better else {}
    return advice(answer.verdict, rivals)


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
        lines += wrapped(
            "driver",
            f"{trial['lost_in']} blocks lost in, {trial['lost_out']} out, in "
            f"{trial['seconds']:.1f} s at {trial['rate']} Hz, {trial['pace']:.2f} x real time",
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
