"""The whole command through the real PortAudio: what leaves the speakers is what a file gives."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from rtdenoise.nets.box import load
from rtdenoise.nets.line import Line
from tests.live.virtual_card import AlsaCard, needs_portaudio
from tests.sounds import lag
from tests.toy_nets import Identity, Smoother, save

# A busy machine has late hops, and late hops are dry, as they must be (test_live.py). Here the
# effect has no deadline, so that what is compared is sound and not the machine's load.
NEVER_LATE = """
import sys
from dataclasses import replace
from rtdenoise.chain.effect import Denoise
from rtdenoise.cli import live, parser

class Patient(Denoise):
    def stage(self, stream, counters=None):
        return super().stage(replace(stream, deadline=None), counters)

sys.exit(live.run(parser().parse_args(), lambda args: Patient(args.model)))
"""


def live(card: AlsaCard, *flags: str) -> dict:
    """`rtdenoise live --json` on *card*; its summary."""
    command = [sys.executable, "-c", NEVER_LATE, "live", "--json", "--duration", "1.5", *flags]
    done = subprocess.run(
        command, env=card.environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    summary: dict = json.loads(done.stdout.splitlines()[-1])
    return summary


@pytest.fixture(scope="module")
def voice(clips):
    """Real sound, 2.5 s."""
    return sf.read(clips / "noisy.flac", dtype="float32", frames=120_000)[0][None]


@pytest.mark.parametrize("block", ["512", "480", "128", "0"])
def test_the_speakers_give_what_a_file_gives_shifted_by_the_latency(tmp_path, voice, block):
    """Sample for sample, at any block size; the delay is the stated one and the card's buffer."""
    needs_portaudio()
    card = AlsaCard(tmp_path, voice)
    model = save(Smoother(), tmp_path / "net.pt")
    common = ("--channels", "1", "--rate", "48000", "--block", block)
    identity = live(card, "-m", str(save(Identity(), tmp_path / "id.pt")), *common)
    sent = voice[0, :60_000]
    late = lag(card.heard(1)[0, :72_000], sent)
    stated = round(48 * identity["latency_ms"]["window, resampler, effects"])
    live(card, "-m", str(model), *common)
    heard = card.heard(1)[0, late : late + len(sent)]
    offline = process(Line(load(model), Stream(48_000, 1)), voice)[0, : len(sent)]

    assert stated == {"512": 512, "480": 992, "128": 896, "0": 1024}[block]
    assert late >= stated  # the rest is ALSA's buffer, which a real card has too
    np.testing.assert_allclose(heard, offline, atol=1e-5)


def test_one_channel_in_goes_to_both_ears(tmp_path, voice):
    """A mono microphone on a stereo card."""
    needs_portaudio()
    card = AlsaCard(tmp_path, voice)
    live(card, "-m", str(save(Identity(), tmp_path / "id.pt")), "--rate", "48000")
    left, right = card.heard(2)

    assert np.abs(left).max() > 0.05
    assert np.array_equal(left, right)


def test_a_card_at_44100_hz(tmp_path, voice):
    """The line resamples there and back; what comes out is the input, late."""
    needs_portaudio()
    card = AlsaCard(tmp_path, voice)
    model = str(save(Identity(), tmp_path / "id.pt"))
    summary = live(card, "-m", model, "--channels", "1", "--rate", "44100")
    heard, sent = card.heard(1)[0], voice[0, :50_000]
    late = lag(heard[:72_000], sent)
    offline = process(Line(load(model), Stream(44_100, 1)), voice)[0, : len(sent)]

    assert summary["rate"] == 44_100
    np.testing.assert_allclose(heard[late : late + len(sent)], offline, atol=1e-5)


def test_devices_are_listed_without_torch(tmp_path, voice):
    """The names are those that --in and --out take."""
    needs_portaudio()
    done = subprocess.run(
        [sys.executable, "-m", "rtdenoise", "devices", "--json"],
        env=AlsaCard(tmp_path, voice).environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert {"mic", "speakers"} <= {device["name"] for device in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--in", "nosuch"), "no device for --in 'nosuch'"),
        (("--in", "alsa"), "devices for --in 'alsa'"),
        (("--in", "99"), "no device for --in '99'"),
        (("--rate", "7"), "no device rate fits: tried 7 Hz"),
    ],
)
def test_a_device_that_is_not_there_is_exit_code_3_and_a_list(tmp_path, voice, flags, message):
    """The error lists what there is."""
    needs_portaudio()
    model = str(save(Identity(), tmp_path / "id.pt"))
    done = subprocess.run(
        [sys.executable, "-m", "rtdenoise", "live", "-m", model, "--duration", "1", *flags],
        env=AlsaCard(tmp_path, voice).environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3, done.stderr
    assert message in done.stderr
    assert "mic" in done.stderr
