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
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, UsageError, printable
from .arguments import DEFAULT_MODEL, add_json, add_model
from .doctor_lines import WIDTH, answer_lines, finding_lines, trial_lines
from .ends import add_devices, add_form, add_robust

if TYPE_CHECKING:
    from ..chain.effect import Effect
    from ..live.devices import Cards
    from ..proof.doctor import Answer, Question, Refusal
    from ..proof.machine import Driver, Finding
    from ..proof.rehearsal import Setting, Trial

HELP = "say whether live sound works here, and with which settings"
CLEAR = "\r\x1b[2K"  # removes the line of a terminal
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
    add_devices(parser, "or null")
    add_model(parser)
    add_form(parser, "; this is tried first")
    add_robust(parser)
    parser.add_argument("--seconds", type=float, default=3.0, help="length in seconds (default: 3)")
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

    question, report = _question(args), Report(args)
    ends = (question.setting.source, question.setting.sink)
    if driver is None and any(isinstance(end, DeviceEnd) for end in ends):
        driver = PortAudio()
    cards = cards or PortAudio()
    findings, tried = [], []
    for finding in examine_machine(question, cards, driver, ("--in", "--out")):
        findings.append(finding)
        report.finding(finding)
    if not blocked(findings):
        for trial in trials(question, make, cards, clock, report.begin):
            tried.append(trial)
            report.trial(trial)
        if (heard := microphone(question, tried)) is not None:
            report.finding(heard)
    return report.answer(judge(question, tried))


class Report:
    """What is found: it is told line by line, or at the end as JSON.

    Args:
        args: The flags.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._found: dict[str, Any] = {"model": args.model, "findings": [], "trials": []}

    def begin(self, model: str, setting: Setting) -> None:
        """Show on a terminal what is tried, because it takes seconds; `_tell` removes it."""
        if not self._args.json and sys.stderr.isatty():
            text = printable(f"trying {command(self._args, model, setting)}")[: WIDTH - 1]
            print(f"{CLEAR}{text}", end="", file=sys.stderr, flush=True)

    def _tell(self, lines: list[str]) -> None:
        if self._args.json:
            return
        if sys.stderr.isatty():
            print(CLEAR, end="", file=sys.stderr, flush=True)
        print("\n".join(lines), flush=True)

    def finding(self, finding: Finding) -> None:
        """Report a finding."""
        self._found["findings"].append(finding_dict(finding))
        self._tell(finding_lines(self._found["findings"][-1]))

    def trial(self, trial: Trial | Refusal) -> None:
        """Report a trial."""
        self._found["trials"].append(trial_dict(self._args, trial))
        self._tell(trial_lines(self._found["trials"][-1]))

    def answer(self, answer: Answer) -> int:
        """Report the answer; return the exit code."""
        self._found |= answer_dict(self._args, answer)
        self._tell(answer_lines(self._found))
        if self._args.json:
            print(json.dumps(self._found))
        return int(self._found["exit_code"])


def _question(args: argparse.Namespace) -> Question:
    """Return what the flags ask; refuse wrong ones before anything is loaded."""
    from ..live.ends import FileEnd, parse_end
    from ..live.negotiate import WishError, Wishes
    from ..nets.box import alike
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
        Wishes(*wishes, robust=args.robust)
    except WishError as error:
        raise UsageError(f"--{error.setting} {error.value}: {error.reason}") from error
    source, sink = parse_end(args.source, "input"), parse_end(args.out, "output")
    if isinstance(source, FileEnd) or isinstance(sink, FileEnd):
        raise UsageError("a file is no sound device: wanted a device or null; files always work")
    setting = Setting(source, sink, *wishes, args.robust)
    return Question(args.model, setting, args.seconds, args.silent, alike(args.model))


def command(args: argparse.Namespace, model: str, setting: Setting) -> str:
    """Return the command of a live run with these settings; the usual ones are left out."""
    from ..live.negotiate import Wishes

    values = {
        "in": args.source,
        "out": args.out,
        "model": model,
        "rate": setting.rate,
        "channels": setting.channels,
        "block": setting.block,
        "latency": setting.latency,
    }
    if setting.robust:
        values["robust"] = Wishes(robust=setting.robust).hops
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
        "robust": trial.setting.robust,
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
        "silent",
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
        if answer.trial and answer.verdict != "no"
        else None,
        "better": command(args, answer.better.model, answer.better.setting)
        if answer.better
        else None,
        "advice": answer_advice(answer),
        "exit_code": DeviceError.exit_code if answer.trial is None else int(answer.verdict == "no"),
    }


def answer_advice(answer: Answer) -> list[str]:
    """Return what to do after the answer, as sentences."""
    from .verdict import advice

    if answer.trial is None:
        return ["No sound device could be tried. Files need none: rtdenoise file"]
    if answer.verdict == "no" and answer.better is None and answer.trial.starved:
        return [
            "The model is fast enough, but sound is lost on its way: see the notes above, try "
            "--latency 0.2, --robust, another device or another cable."
        ]
    rivals = {answer.better.model: answer.better.hops} if answer.better else {}
    return advice(answer.verdict, answer.trial.hops, rivals)
