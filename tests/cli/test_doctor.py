"""The verb doctor: its text, its JSON and its exit code; the machine's speed does not matter."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from rtdenoise.cli import doctor as verb, parser
from rtdenoise.cli.doctor_lines import answer_lines, finding_lines, trial_lines
from rtdenoise.live.devices import PortAudio
from tests.proof.headset import Card, Driver, Takes


def doctor(card: Card, *flags: str, hop_s: float = 0.001, driver=None) -> int:
    """The verb on *card*, with models that take *hop_s*, or 1 ms if they are small."""
    args = parser().parse_args(["doctor", "--seconds", "1", *flags])

    def make(name: str):
        return Takes(0.001 if "small" in name else hop_s)

    return verb.run(args, make, card, driver or Driver(card), card.clock)


def test_the_exit_code_is_the_answer(capsys):
    """0, and a command to paste; 1, and a model that works."""
    assert doctor(Card(loses=lambda w: w.latency == "low")) == 0
    assert capsys.readouterr().out.endswith(
        "yes: speech runs live here\n  rtdenoise live --latency high\n"
    )
    assert doctor(Card(), hop_s=0.02) == 1
    told = capsys.readouterr().out
    assert "no: speech does not run live here: the model is too slow" in told
    assert told.endswith("  rtdenoise live --model speech-small\n")
    assert doctor(Card(), "-m", "speech-small", "--block", "256", "--rate", "48000") == 0
    assert capsys.readouterr().out.endswith(
        "  rtdenoise live --model speech-small --rate 48000 --block 256\n"
    )


def test_a_missing_device_names_the_fix(capsys):
    """Exit code 3; what there is, is listed, and the rest of the machine is examined."""
    assert doctor(Card(), "--in", "usb") == 3
    told = capsys.readouterr().out

    assert "no device for --in 'usb'. There are:" in told
    assert "[0] Headset, Array (1 in, 2 out)" in told
    assert "Give an index or a longer name." in told
    assert "CPU governor" in told


def test_without_portaudio_the_fix_is_named(capsys):
    """Exit code 3."""

    def load():
        raise OSError("PortAudio library not found")

    assert doctor(Card(), driver=PortAudio(load)) == 3
    assert "sudo apt install libportaudio2" in re.sub(r"\s+", " ", capsys.readouterr().out)


def test_without_any_device_null_is_still_examined(capsys):
    """The model alone, without PortAudio."""
    card = Card()
    args = parser().parse_args(["doctor", "--in", "null", "--out", "null", "--seconds", "1"])

    assert verb.run(args, lambda name: Takes(0.001), card, None) == 0
    assert "PortAudio" not in capsys.readouterr().out
    assert not card.opened


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--in", "file:x.wav"), "a file is no sound device"),
        (("--seconds", "0"), "--seconds 0: wanted 1 to 600"),
        (("--block", "-1"), "--block -1: wanted 0 to 65536"),
        (("--latency", "soon"), "--latency soon: wanted low, high or seconds"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(flags, message):
    """The flag is named."""
    with pytest.raises(ValueError, match=message):
        doctor(Card(), *flags)


@pytest.mark.parametrize(
    ("card", "hop_s", "flags"),
    [
        (lambda: Card(1024), 0.001, ()),
        (lambda: Card(), 0.02, ("--silent",)),
        (lambda: Card(refuses=lambda w: True), 0.001, ()),
        (lambda: Card(), 0.001, ("--out", "nosuch")),
        (lambda: Card(loses=lambda w: w.latency == "low", noise=0.0), 0.001, ()),
    ],
)
def test_json_has_all_that_the_text_has(card, hop_s, flags, capsys):
    """The text can be made of it; only the times of this machine differ between two runs."""
    code = doctor(card(), *flags, hop_s=hop_s)
    text = capsys.readouterr().out
    assert doctor(card(), "--json", *flags, hop_s=hop_s) == code
    printed = capsys.readouterr().out
    report = json.loads(printed)
    made = [line for f in report["findings"][:-1] for line in finding_lines(f)]
    made += [line for t in report["trials"] for line in trial_lines(t)]
    made += [line for f in report["findings"][-1:] for line in finding_lines(f)]
    made += answer_lines(report)

    assert printed.count("\n") == 1
    assert report["exit_code"] == code
    assert words(text) == words("\n".join(made))


def words(text: str) -> list[str]:
    """The words of *text* in any order, without numbers."""
    return sorted(re.sub(r"[\d.]+", "#", text).split())


def test_every_line_fits_80_columns(capsys):
    """Whatever the devices are called; a command that is to be pasted stays in one line."""
    card = Card()
    long = "HDA Intel PCH: ALC1220 Analog (hw:0,0) " * 3
    card.devices[0] = replace(card.devices[0], name=long)
    doctor(card, hop_s=0.02)
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) > 15
    assert max(len(line) for line in lines if not line.startswith("  rtdenoise live")) <= 80


def test_digital_silence_at_the_input_is_noted(capsys):
    """It is what a muted microphone gives, and one without permission."""
    doctor(Card(noise=0.0))
    assert re.search(r"microphone +note +the input gave digital silence", capsys.readouterr().out)
    doctor(Card(noise=0.1))
    assert re.search(r"microphone +ok +the input reached -\d+ dBFS", capsys.readouterr().out)
