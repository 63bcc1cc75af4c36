"""doctor as a user runs it, on the real PortAudio; its answer depends on the machine's speed."""

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

from rtdenoise.proof.loop import chirp
from rtdenoise.proof.rehearsal import SETTLE_S
from tests.live.virtual_card import AlsaCard, needs_portaudio
from tests.toy_nets import Identity, save

TOOLS = Path(__file__).parents[2] / "tools"
# The card of tools/jack_card.py, whose microphone plays what its speakers got a period before.
LOOP = f"""
import sys
sys.path.insert(0, {str(TOOLS)!r})
import jack_card

class Loop(jack_card.Peer):
    last = None

    def play(self, frames):
        self.out.get_array()[:] = 0 if self.last is None else self.last

    def record(self, frames):
        self.last = self.into.get_array().copy()
        super().record(frames)

jack_card.Peer = Loop
sys.exit(jack_card.main())
"""


def test_doctor_opens_the_devices_and_plays_only_a_chirp(tmp_path):
    """ALSA's file device hears its own file, and no loop; the answer is yes or no."""
    needs_portaudio()
    noise = np.random.default_rng(440).uniform(-0.1, 0.1, (1, 480_000)).astype(np.float32)
    card, model = AlsaCard(tmp_path, noise), save(Identity(), tmp_path / "net.pt")
    command = [sys.executable, "-m", "rtdenoise", "doctor", "--json", "--seconds", "1"]
    command += ["-m", str(model), "--block", "480", "--channels", "1", "--out", "speakers"]
    done = subprocess.run(
        command, env=card.environment, capture_output=True, text=True, timeout=120, check=False
    )
    report = json.loads(done.stdout)
    first = report["trials"][0]

    assert done.returncode == report["exit_code"] == int(report["verdict"] == "no"), done.stderr
    assert {f["topic"] for f in report["findings"]} >= {"PortAudio", "devices", "input", "output"}
    assert (first["rate"], first["block"], first["chirp"], first["loop"]) == (
        48_000,
        480,
        True,
        None,
    )
    assert first["input_db"] == pytest.approx(-20, abs=0.1)
    assert "--block 480" in first["command"]
    played = card.heard(1)[0]
    tone = np.flatnonzero(played)
    assert np.abs(played).max() == pytest.approx(np.abs(chirp(48_000)).max())
    assert SETTLE_S * 48_000 <= tone[0] < tone[-1] < tone[0] + len(chirp(48_000))


@pytest.mark.jack
def test_the_delay_through_jack_is_measured(tmp_path):
    """jackd's period, once for the buffer of PortAudio and once for the loop of this test.

    A busy machine loses blocks, which changes the answer, and moves the delay by whole periods.
    """
    needs_portaudio()
    if shutil.which("jackd") is None or importlib.util.find_spec("jack") is None:
        pytest.skip("needs jackd and JACK-Client: apt install jackd2, pip install JACK-Client")
    (tmp_path / "loop.py").write_text(LOOP)
    sf.write(tmp_path / "silence.wav", np.zeros(480, np.float32), 48_000)
    doctor = [sys.executable, "-m", "rtdenoise", "doctor", "--json", "--seconds", "1"]
    doctor += ["-m", str(save(Identity(), tmp_path / "net.pt")), "--channels", "1"]
    doctor += ["--in", "mic", "--out", "speakers"]
    card = [sys.executable, str(tmp_path / "loop.py"), str(tmp_path / "silence.wav")]
    card += [str(tmp_path / "heard.wav"), "--"]
    done = subprocess.run(
        [*card, *doctor], capture_output=True, text=True, timeout=120, check=False
    )
    if "jackd did not start" in done.stderr:
        pytest.skip("jackd cannot run here")
    report = json.loads(done.stdout)
    first = report["trials"][0]

    assert done.returncode == report["exit_code"]
    assert first["loop"]["samples"] in ({1024} if first["verdict"] == "yes" else {1024, 1536, 2048})
    assert first["loop"]["ms"] == pytest.approx(first["loop"]["samples"] / 48)
    assert first["loop"]["reported_ms"] is None  # JACK's number is a fault of PortAudio
