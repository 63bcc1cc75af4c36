"""The examination of `rtdenoise doctor`: does this machine run a model live, and how?

It looks at the machine (`machine.py`), and then rehearses the model on the devices
(`rehearsal.py`): as asked, with larger buffers if sound was lost, and with the other models of the
box if this one is too slow or has no room. `judge` makes one answer of the trials.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..chain.effect import Effect
from ..errors import DeviceError
from ..live.devices import Cards
from ..live.ends import DeviceEnd
from .machine import Driver, Finding, Topic, driver_findings, end_finding, machine_findings
from .rehearsal import Setting, Trial, rehearse
from .timing import BETTER, Verdict


@dataclass(frozen=True)
class Question:
    """What a user wants to know.

    Attributes:
        model: Name or path of the model.
        setting: The ends, and how the user wants to open them.
        seconds: Length of a trial in seconds of sound.
        quiet: Whether no chirp is played.
        others: Names of the models to try if this one is too slow, or has no room.
    """

    model: str
    setting: Setting
    seconds: float
    quiet: bool
    others: Sequence[str] = ()


@dataclass(frozen=True)
class Refusal:
    """A trial that did not begin or did not end, because of a device.

    Attributes:
        model: Name or path of the model.
        setting: How the ends were opened.
        reasons: What the device said.
    """

    model: str
    setting: Setting
    reasons: list[str]
    verdict: Verdict = "no"


@dataclass(frozen=True)
class Answer:
    """The answer to a question.

    Attributes:
        verdict: Whether the model runs live here; "barely" leaves no room for other programs.
        trial: The trial of the model that worked, or else its last one. None: there was none.
        better: The trial of another model that works where this one does not, or has more room.
        reasons: Why the model does not run; empty if it does.
    """

    verdict: Verdict
    trial: Trial | None
    better: Trial | None
    reasons: list[str]


def examine_machine(
    question: Question, cards: Cards, driver: Driver | None, options: tuple[str, str]
) -> Iterator[Finding]:
    """Yield what there is before anything is opened.

    Args:
        question: The ends.
        cards: Object that finds the sound devices.
        driver: Object that lists the sound devices. None: no end is a device.
        options: The user's names of the input and the output.
    """
    found = [] if driver is None else list(driver_findings(driver))
    yield from found
    if not blocked(found):
        yield end_finding(question.setting.source, "input", cards, options[0])
        yield end_finding(question.setting.sink, "output", cards, options[1])
    yield from machine_findings()


def blocked(findings: Sequence[Finding]) -> bool:
    """Return whether *findings* leave no devices to try."""
    needed = (Topic.PORTAUDIO, Topic.INPUT, Topic.OUTPUT)
    return any(each.state == "bad" and each.topic in needed for each in findings)


def trials(
    question: Question,
    make: Callable[[str], Effect],
    cards: Cards,
    clock: Callable[[], float] = time.monotonic,
    begin: Callable[[str, Setting], None] = lambda _model, _setting: None,
) -> Iterator[Trial | Refusal]:
    """Yield trials until one says yes, or there is nothing left to try.

    Args:
        question: The model and the ends.
        make: Function that makes the effect of a model.
        cards: Object that finds and opens the sound devices.
        clock: Function that returns the time in seconds.
        begin: Function that is called before each trial.

    Raises:
        ModelError: If there is no such model, or it breaks the contract.
        UsageError: If the ends cannot meet the setting.
    """
    for model in (question.model, *question.others):
        effect, opened = make(model), False
        for setting in settings(question.setting, effect):
            begin(model, setting)
            try:
                trial = rehearse(
                    model, effect, setting, question.seconds, cards, question.quiet, clock
                )
            except DeviceError as error:
                yield Refusal(model, setting, [str(error)])
                continue
            opened = True
            yield trial
            if trial.verdict == "yes":
                return
            if not trial.starved:  # a larger buffer does not make a model faster
                break
        if not opened:
            return


def settings(asked: Setting, effect: Effect) -> list[Setting]:
    """Return the settings to try, in order: as asked, and then with larger and larger buffers."""
    high = replace(asked, latency="high")
    rate, hop = effect.own_rate or 48_000, effect.own_hop or 512
    twice = replace(high, block=round(2 * hop * (asked.rate or rate) / rate))
    return list(dict.fromkeys((asked, high, twice)))


def judge(question: Question, tried: Sequence[Trial | Refusal]) -> Answer:
    """Return the answer that the trials give."""
    done = [trial for trial in tried if isinstance(trial, Trial)]
    own = [trial for trial in done if trial.model == question.model]
    best = next((t for v in ("yes", "barely") for t in own if t.verdict == v), None)
    verdict: Verdict = best.verdict if best else "no"
    rest = [trial for trial in done if trial.model != question.model]
    better = next((t for v in BETTER[verdict] for t in rest if t.verdict == v), None)
    last = [trial for trial in tried if trial.model == question.model][-1:]
    reasons = [] if best else [reason for trial in last for reason in trial.reasons]
    return Answer(verdict, best or (own[-1] if own else None), better, reasons)


def microphone(question: Question, tried: Sequence[Trial | Refusal]) -> Finding | None:
    """Return what the input gave in the last trial, if the input is a device that was opened."""
    heard = [trial.input_db for trial in tried if isinstance(trial, Trial)]
    if not heard or not isinstance(question.setting.source, DeviceEnd):
        return None
    if heard[-1] is None:
        return Finding(Topic.MICROPHONE, "note", "the input gave digital silence")
    return Finding(Topic.MICROPHONE, "ok", f"the input reached {heard[-1]:.0f} dBFS")
