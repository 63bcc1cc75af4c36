"""What must refuse before anything is scored."""

from __future__ import annotations

import re

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.errors import UsageError
from rtdenoise.nets.torchscript import Generator
from tests.toy_nets import Identity, card_for
from tests.train.evaluate.sounds import RATE, at_snr, low, room, voice
from train.cli import main
from train.evaluate import checks
from train.evaluate.estimates import shifted

FINE = {
    "noise at 0 dB": lambda x: np.stack([at_snr(row, 0) for row in x]),
    "noise at -5 dB": lambda x: np.stack([at_snr(row, -5) for row in x]),
    "a room": room,
    "a low-pass": low,
    "nothing": lambda x: x,
}


WRONG = {
    r"at -6.0 dB re.*sox -m": lambda x: 0.5 * x,
    r"at \+3.0 dB re": lambda x: 1.413 * at_snr(x[0], 10),
    r"comes 37 samples \(2.3 ms\) late": lambda x: np.pad(x, ((0, 0), (37, 0)))[:, : x.shape[1]],
    r"comes -20 samples": lambda x: np.pad(x[:, 20:], ((0, 0), (0, 20))),
    "polarity is reversed": lambda x: -x,
    "two different recordings": lambda x: voice(seed=999)[None],
}


@pytest.mark.parametrize("damage", FINE.values(), ids=FINE)
def test_noise_rooms_and_filters_are_no_faults(pairs, damage, capsys):
    """What is to be undone must not look like a wrong gain, lag or channel."""
    folder = pairs(damage)
    assert main(["evaluate", "--data", str(folder), "--kind", "music", "--baseline", "none"]) == 0
    assert "| input |" in capsys.readouterr().out


@pytest.mark.parametrize(("message", "damage"), WRONG.items(), ids=WRONG)
def test_a_wrong_gain_lag_polarity_or_take_is_refused_with_its_estimate(
    pairs, message, damage, capsys
):
    """Scores of such pairs would be about the pairs; --force scores them and says so."""
    args = ["evaluate", "--data", str(pairs(damage)), "--kind", "music", "--baseline", "none"]
    assert main(args) == 2
    assert re.search(message, capsys.readouterr().err)
    assert main([*args, "--force"]) == 0
    assert "SCORED BY FORCE" in capsys.readouterr().out


def test_the_origins_left_channel_is_named(pairs, capsys):
    """Bug 1 of the origin: nets heard the left channel, the reference was stereo or a mix."""
    folder = pairs(lambda x: x[:1], channels=2)
    assert main(["evaluate", "--data", str(folder), "--kind", "music"]) == 2
    assert "resembles channel 0" in capsys.readouterr().err
    for clean in (folder / "clean").iterdir():  # the mix: now only coherence can tell
        both = sf.read(clean)[0]
        sf.write(clean, both.mean(1), RATE, "FLOAT")
        sf.write(folder / "degraded" / clean.name, low(both[:, 0]), RATE, "FLOAT")
    assert main(["evaluate", "--data", str(folder), "--kind", "music", "--cutoff-hz", "2500"]) == 2
    assert "coherence below 2000 Hz is 0.5" in capsys.readouterr().err


@pytest.mark.parametrize("lag", [0, 1, 480, -333])
@pytest.mark.parametrize("gain_db", [0.0, -6.02, 4.0])
def test_lag_and_gain_are_found_under_noise(lag, gain_db):
    """Exactly, and to 0.4 dB, at 0 dB SNR."""
    r = voice()
    e = shifted(10 ** (gain_db / 20) * r[None], -lag, len(r))[0]
    found = checks.link(at_snr(e, 0), r, RATE)
    assert found.lag == lag
    assert found.gain_db == pytest.approx(gain_db, abs=0.4)
    assert found.polarity == 1
    assert found.correlation == pytest.approx(0.707, abs=0.05)


def test_the_identity_run_refuses_a_host_that_changes_the_sound():
    """It passes at the net's rate and at others; a gain in the line is seen."""
    generator = Generator(Identity(), card_for(Identity()))
    for rate_hz in (48_000, 16_000):
        checks.identity_run(generator, voice()[None], rate_hz)
    for rate_hz in (48_000, 16_000):
        with pytest.raises(UsageError, match="identity run"):
            checks.identity_run(generator, voice()[None], rate_hz, lambda line, x: 0.9 * x)
