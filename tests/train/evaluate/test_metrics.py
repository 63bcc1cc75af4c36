"""What metrics are by definition."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.proof.quality import dnsmos
from tests.train.evaluate.sounds import RATE, at_snr, low, noise, voice
from train.evaluate import metrics
from train.evaluate.metrics import measure
from train.heard import pesq, stoi

CLIPS = Path(__file__).parents[3] / "examples/audio"


def test_an_exact_copy_scores_best_everywhere():
    """The upper limit of the ratios, LSD 0, coherence 1, intelligibility 1, the top of PESQ."""
    r = sf.read(CLIPS / "clean.flac", dtype="float32", always_2d=True)
    found = measure(r[0].T[:1], r[0].T[:1], r[1], "speech", 4000)
    assert found["snr"] == found["si_sdr"] == metrics.RATIO_DB[1]
    assert found["seg_snr"] > 25  # silence has no SNR: it counts -10 dB
    assert [found[name] for name in found if name.startswith("lsd")] == [0.0] * 7
    assert found["coherence_hf"] == pytest.approx(1)
    assert found["coherence_lf"] == pytest.approx(1)
    assert found["stoi"] == pytest.approx(1, abs=1e-6)
    assert found["pesq_wb"] == pytest.approx(4.644, abs=0.001)
    assert found["pesq_nb"] == pytest.approx(4.549, abs=0.001)


def test_metrics_have_their_definitions_values():
    """SNR by construction; of a gain g SNR is -20 log10 |1 - g|, LSD |2 log10 g|."""
    r = noise()[None]
    assert measure(at_snr(r[0], 7.0)[None], r, RATE, "music")["snr"] == pytest.approx(7, abs=1e-3)
    found = measure(0.5 * r, r, RATE, "music", 4000.0)
    assert found["snr"] == pytest.approx(6.02, abs=0.01)
    assert found["seg_snr"] == pytest.approx(6.02, abs=0.01)
    assert found["si_sdr"] == metrics.RATIO_DB[1]
    log10 = 2 * np.log10(2)  # every bin is off by as much, so no order of means matters
    for name in ("lsd", "lsd_origin", "lsd_mugan", "lsd_hf", "lsd_lf"):
        assert found[name] == pytest.approx(log10, abs=1e-4)
    for name in ("lsd_kul_code", "lsd_kul_paper"):
        assert found[name] == pytest.approx(log10 * np.log(10), abs=1e-3)
    assert found["coherence_lf"] == pytest.approx(1)


def test_chosen_metrics_are_those_of_all_and_no_others_are_computed():
    """A quick look leaves out DNSMOS, which takes longer than the rest together."""
    r = voice()[None].astype(np.float32)
    x = at_snr(r[0], 10.0)[None]
    everything = measure(x, r, RATE)
    some = measure(x, r, RATE, chosen=("estoi", "si_sdr"), quality=lambda e16: pytest.fail("asked"))

    wanted = {name: everything[name] for name in ("si_sdr", "estoi")}
    assert some == pytest.approx(wanted, rel=1e-12)  # sums depend on where memory is aligned


def test_bands_are_told_apart():
    """Damage above the cut-off shows in the HF columns alone."""
    r = noise()[None]
    high = r - low(r)
    other = (low(r) + noise(5)[None] - low(noise(5)[None])).astype(np.float32)
    found = measure(other, r, RATE, "music", 2500)
    assert np.abs(high).max() > 0.1
    assert found["lsd_lf"] < 0.1 < 0.5 < found["lsd_hf"]
    assert found["coherence_hf"] < 0.1 < 0.98 < found["coherence_lf"]


LIBROSA = """
import numpy as np
class feature:
    def melspectrogram(**settings): return np.zeros((120, 900))
def power_to_db(x, ref): return x
"""


def test_dnsmos_is_that_of_speechmos(tmp_path):
    """The package's own code, in a process whose librosa (only P.808 needs it) gives zeros."""
    pytest.importorskip("speechmos")
    (tmp_path / "librosa.py").write_text(LIBROSA)
    (tmp_path / "requests.py").write_text("session = None\n")
    x = at_snr(voice(11.5), 5).clip(-1, 1)
    np.save(tmp_path / "x.npy", x)
    theirs = "import json, numpy, speechmos.dnsmos as d; x = numpy.load('x.npy'); "
    theirs += "print(json.dumps({k: float(v) for k, v in d.run(x, 16000).items()}))"
    done = subprocess.run(
        [sys.executable, "-c", theirs],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    wanted = json.loads(done.stdout.splitlines()[-1])
    found = dnsmos(x.astype(np.float64))
    for name in ("sig", "bak", "ovrl"):
        assert found[name] == pytest.approx(wanted[f"{name}_mos"], abs=1e-4)


def test_a_metric_that_cannot_be_computed_is_nan():
    """PESQ finds no speech in silence, STOI needs 30 active frames; neither stops the rest."""
    silence, short = np.zeros(RATE), voice(0.2).astype(np.float64)
    for e, r in ((silence, silence), (short, short)):
        assert np.isnan(list(pesq(e, r).values())).all()
    assert np.isnan(list(stoi(short, short).values())).all()
    paused = np.concatenate((voice(0.3), np.zeros(3 * RATE))).astype(np.float64)
    assert np.isnan(list(stoi(paused, paused).values())).all()  # not 1e-5


SILENCES = {
    "zeros": lambda r: 0 * r,
    "less than 16 bits hold": lambda r: r * (2.0**-17 / np.abs(r).max()),
}


@pytest.mark.parametrize("silence", SILENCES.values(), ids=SILENCES)
def test_silence_has_the_worst_score_of_every_metric(silence):
    """Whoever gives nothing loses to whoever gives noise, in every column."""
    r = voice()[None]
    found = measure(silence(r).astype(np.float32), r, RATE, "speech", 2500)
    noisy = measure(at_snr(r[0], -10)[None], r, RATE, "speech", 2500)
    assert set(found) == set(metrics.METRICS)
    for name, metric in metrics.METRICS.items():
        assert found[name] == pytest.approx(metric.worst)
        assert metric.better * (noisy[name] - found[name]) > 0, name


def test_a_silent_channel_costs_its_share():
    """One of two channels: the mean of the worst score and of the other channel's."""
    r = np.stack([voice(seed=1), voice(seed=2)])
    x = np.stack([at_snr(row, 10) for row in r])
    both, one = measure(x, r, RATE, "music"), measure(x[:1], r[:1], RATE, "music")
    x[1] = 0
    half = measure(x, r, RATE, "music")
    for name in half:
        assert half[name] == pytest.approx((one[name] + metrics.METRICS[name].worst) / 2)
        assert metrics.METRICS[name].better * (both[name] - half[name]) > 0


def test_ratios_end_where_they_say():
    """No file can outweigh the rest of a mean: -30 to 100 dB."""
    r = noise()[None]
    for name in ("snr", "si_sdr"):
        assert measure(100 * noise(5)[None], r, RATE, "music")[name] == -30.0
        assert measure(r, r, RATE, "music")[name] == 100.0


def test_a_reference_without_speech_has_no_value_for_anybody():
    """PESQ is NaN for every estimate, so that all systems are compared on the same files."""
    r = np.concatenate((voice(0.3), np.zeros(2 * RATE, np.float32)))[None]
    for e in (r, 0 * r, at_snr(r[0], 0)[None]):
        found = measure(e.astype(np.float32), r, RATE, "speech", chosen=("snr", "stoi", "estoi"))
        assert np.isnan([found["stoi"], found["estoi"]]).all()
        assert np.isfinite(found["snr"])
