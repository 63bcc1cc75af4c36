"""Sounds of a listening test: equally loud, checked before anybody listens."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile as sf

from tests.train.listening import NAMES, RATE, sound
from train.cli import main
from train.listen.stimuli import prepare

pytest.importorskip("pyloudnorm", reason="loudness needs the eval extra")


def test_stimuli_are_equally_loud_and_never_clip(folders):
    """ITU-R BS.1770 at one value for all of an item; peaks stay below full scale."""
    import io

    import pyloudnorm

    peaky = sound(7) * 0.02
    peaky[:8000:400] = 0.9  # loudness would ask for a gain above one
    sf.write(folders / NAMES[0] / "item1.wav", peaky, RATE, "FLOAT")
    test = prepare(folders / "clean", {n: folders / n for n in NAMES}, 3, (3500.0,))
    assert test.systems == ("reference", *NAMES, "anchor 3.5 kHz")
    formats = set()
    for item in test.items:
        sounds = [sf.read(io.BytesIO(test.wavs[item, s])) for s in test.systems]
        meter = pyloudnorm.Meter(RATE)
        lufs = [meter.integrated_loudness(x) for x, _ in sounds]
        assert np.ptp(lufs) < 0.1
        assert max(np.abs(x).max() for x, _ in sounds) < 1
        assert max(lufs) < -22.9
        formats |= {(len(x), x.shape, rate) for x, rate in sounds}
    assert len(formats) == 1


def test_anchors_are_low_passed_references(folders):
    """Nothing above the cut-off, the same below, no delay."""
    from train.listen.stimuli import lowpass

    x = sound(0)[None]
    power = [np.abs(np.fft.rfft(s[0])) ** 2 for s in (x, lowpass(x, RATE, 3500.0))]
    hz = np.fft.rfftfreq(x.shape[1], 1 / RATE)
    assert power[1][hz > 3700].sum() < 1e-3 * power[0][hz > 3700].sum()
    assert power[1][hz < 3300].sum() == pytest.approx(power[0][hz < 3300].sum(), rel=0.01)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: (f / NAMES[0] / "item1.wav").unlink(), "no item1 in"),
        (lambda f: sf.write(f / NAMES[0] / "item0.wav", sound(0), 8000), "8000 Hz"),
        (lambda f: sf.write(f / NAMES[0] / "item0.wav", sound(0, 1.0), RATE), "16000 samples"),
        (lambda f: sf.write(f / NAMES[0] / "item0.wav", 0 * sound(0), RATE), "is silent"),
        (lambda f: (f / NAMES[0] / "item0.wav").write_bytes(b"x"), "not a sound file"),
        (lambda f: shutil.rmtree(f / NAMES[0]), "no item0 in"),
        (lambda f: shutil.rmtree(f / "clean"), "there is no folder"),
    ],
)
def test_files_that_make_no_test_are_one_error_before_serving(folders, break_it, message, capsys):
    """Not in the middle of a listener's session."""
    break_it(folders)
    args = ["listen", "--reference", str(folders / "clean"), "--db", str(folders / "r.sqlite")]
    assert main([*args, "--systems", *(f"{n}={folders / n}" for n in NAMES)]) == 2
    assert message in capsys.readouterr().err


def test_a_late_system_is_told(folders):
    """Switching between stimuli that are not aligned skips: 20 ms are heard."""
    late = np.pad(sound(0), (320, 0))[: len(sound(0))]
    sf.write(folders / NAMES[0] / "item0.wav", late, RATE, "FLOAT")
    test = prepare(folders / "clean", {n: folders / n for n in NAMES}, 3)
    assert test.warnings == [
        f"item0 of {NAMES[0]} comes 20 ms late: switching between stimuli will skip"
    ]
