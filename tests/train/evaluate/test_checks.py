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
from train.evaluate.pairs import shifted
from train.evaluate.run import listed

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
    """Scores of such pairs would be about the pairs; --despite-checks scores them and says so."""
    args = ["evaluate", "--data", str(pairs(damage)), "--kind", "music", "--baseline", "none"]
    assert main(args) == 2
    assert re.search(message, capsys.readouterr().err)
    assert main([*args, "--despite-checks"]) == 0
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


def late(x, samples):
    return np.pad(x, (samples, 0))[: len(x)]


def alike(x):
    """Stereo as most of it is: the channels differ by a fifth."""
    return np.stack([x[0] + 0.2 * x[1], x[0] - 0.2 * x[1]])


ONE_CHANNEL = {
    "channel 1: the degraded sound is at -6.0 dB": lambda x: np.stack([x[0], 0.5 * x[1]]),
    "channel 0: the degraded sound is at [+]3.0 dB": lambda x: np.stack([1.413 * x[0], x[1]]),
    "channel 1: it comes 9 samples": lambda x: np.stack([x[0], late(x[1], 9)]),
    "channel 1: its polarity is reversed": lambda x: np.stack([x[0], -x[1]]),
    "channel 1: the correlation is 0.0": lambda x: np.stack([x[0], x[0]]),
    "channels 0 and 1 are swapped": lambda x: x[::-1],
    "degraded is silent in channel 1": lambda x: np.stack([x[0], 0 * x[1]]),
}


@pytest.mark.parametrize(("message", "damage"), ONE_CHANNEL.items(), ids=ONE_CHANNEL)
def test_every_channel_is_checked(pairs, message, damage, capsys):
    """Not the first alone; under noise, too."""

    def both(x):
        noisy = [at_snr(row, 5, 100 + n) if row.any() else row for n, row in enumerate(damage(x))]
        return np.stack(noisy)

    folder = pairs(both, files=2, channels=2)
    assert main(["evaluate", "--data", str(folder), "--kind", "music", "--baseline", "none"]) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize("snr_db", [40, 0, -5])
def test_a_swap_is_found_in_stereo_that_is_nearly_mono(snr_db):
    """The difference of the channels turns over; noise in both alike hides nothing."""
    clean = alike(np.stack([voice(seed=1), voice(seed=2)]))
    noisy = np.stack([at_snr(row, snr_db) for row in clean])
    assert checks.swaps(noisy, clean, RATE) == []
    assert checks.swaps(noisy[::-1], clean, RATE) == [(0, 1)]
    assert checks.swaps(-noisy, clean, RATE) == []  # that is polarity
    assert checks.swaps(np.stack([noisy[0], -noisy[1]]), clean, RATE) == []


def test_channels_of_surround_are_named_where_they_are_swapped():
    """Of six channels the two that changed places, and no others."""
    clean = np.stack([voice(seed=s) for s in range(6)])
    order = [0, 1, 5, 3, 4, 2]
    assert checks.faults(clean[order], clean, RATE) == ["channels 2 and 5 are swapped"]
    assert checks.faults(clean, clean, RATE) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda x: np.stack([at_snr(row, -5, 100 + n) for n, row in enumerate(x)]),
        room,
        low,
        lambda x: x,
    ],
    ids=["noise", "room", "low-pass", "nothing"],
)
@pytest.mark.parametrize("stereo", [lambda x: x, alike, lambda x: x[[0, 0]]])
def test_stereo_that_is_fine_has_no_fault(damage, stereo):
    """Independent channels, similar ones, equal ones."""
    clean = stereo(np.stack([voice(seed=1), voice(seed=2)]))
    assert checks.faults(damage(clean), clean, RATE) == []


def test_one_bad_pair_is_named_and_left_out_if_asked(pairs, capsys):
    """A median would hide it among the good ones, and its score would be in the mean."""
    folder = pairs(lambda x: np.stack([at_snr(row, 5) for row in x]), files=8)
    path = sorted((folder / "degraded").iterdir())[5]
    sf.write(path, 2 * sf.read(path)[0], RATE, "FLOAT")
    args = ["evaluate", "--data", str(folder), "--kind", "music", "--baseline", "none"]
    assert main(args) == 2
    err = capsys.readouterr().err
    assert "1 of 8 pairs cannot be scored" in err
    assert f"{path.stem}: the degraded sound is at +6.0 dB" in err
    assert main([*args, "--leave-out"]) == 0
    out = capsys.readouterr().out
    assert "7 of 8 pairs" in out
    assert f"Left out 1: {path.stem}: the degraded sound" in out
    assert "n=7 |" in out
    assert main([*args, "--despite-checks"]) == 0
    out = capsys.readouterr().out
    assert f"SCORED BY FORCE: {path.stem}" in out
    assert "n=8 |" in out


def test_many_bad_pairs_are_counted():
    """A list of a thousand would hide what it says."""
    lines = listed({f"p{n}": ["it is late", "its polarity is reversed"] for n in range(100)})
    assert lines[0] == "p0: it is late; its polarity is reversed"
    assert lines[20:] == ["and 80 more"]
