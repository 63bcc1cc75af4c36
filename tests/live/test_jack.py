"""A paced stream on a private jackd: every sample arrives, in time with the card's clock."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from rtdenoise.nets.box import load
from rtdenoise.nets.line import Line
from tests.live.virtual_card import needs_portaudio
from tests.toy_nets import Smoother, save

CARD = Path(__file__).parents[2] / "tools" / "jack_card.py"


@pytest.mark.jack
@pytest.mark.parametrize("more", [(), pytest.param(("--robust",), marks=pytest.mark.slow)])
def test_a_paced_stream_gives_every_sample(tmp_path, clips, more):
    """Eight seconds at the pace of a card: what was heard is what a file gives, sample for sample.

    jackd waits for its clients (`--sync`), so this holds on any machine, however busy; how late
    the hops were is printed, not asserted. With a worker nobody waits, and what is not there is
    silence, and counted.
    """
    needs_portaudio()
    if shutil.which("jackd") is None or importlib.util.find_spec("jack") is None:
        pytest.skip("needs jackd and JACK-Client: apt install jackd2, pip install JACK-Client")
    audio = sf.read(clips / "noisy.flac", dtype="float32", frames=8 * 48_000)[0]
    sf.write(tmp_path / "play.wav", audio, 48_000, "FLOAT")
    model = save(Smoother(), tmp_path / "net.pt")
    live = [sys.executable, "-m", "rtdenoise", "live", "--in", "mic", "--out", "speakers"]
    live += ["-m", str(model), "--json", "--rate", "48000", "--channels", "1", "--duration", "10"]
    live += more
    card = [
        sys.executable,
        str(CARD),
        str(tmp_path / "play.wav"),
        str(tmp_path / "heard.wav"),
        "--",
    ]
    done = subprocess.run([*card, *live], capture_output=True, text=True, timeout=90, check=False)
    if "jackd did not start" in done.stderr:
        pytest.skip("jackd cannot run here")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    print(summary, done.stderr)
    heard = sf.read(tmp_path / "heard.wav", dtype="float32")[0]
    offline = process(Line(load(model), Stream(48_000, 1)), audio[None])[0]
    n = 1 << 21
    late = int(np.argmax(np.fft.irfft(np.fft.rfft(heard, n) * np.conj(np.fft.rfft(offline, n)))))
    count = min(len(audio), len(heard) - late)

    assert count > 6 * 48_000
    if summary["silent_blocks"]:
        wrong = np.abs(heard[late : late + count] - offline[:count]) > 1e-5
        silent = round(48_000 * summary["silent_seconds"]) + summary["silent_blocks"] * 1024
        assert wrong.sum() <= silent + 512 * summary["dry"]
    elif summary["dry"] == 0:  # a machine busy enough for late hops gives dry ones, as it must
        np.testing.assert_allclose(heard[late : late + count], offline[:count], atol=1e-5)
    else:
        kept = np.abs(heard[late : late + count]) <= np.abs(audio[:count]) * 1.001 + 1e-4
        assert kept.mean() > 0.999
