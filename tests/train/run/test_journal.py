"""What a run leaves for people."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf

from train.run.journal import curves, read_rows, scores


def test_a_run_can_be_looked_at_and_listened_to(run):
    """Curves, scores, spectrograms and sound of the development side, TensorBoard's events."""
    row = read_rows(run / "dev.csv")[-1]

    assert row["step"] == 12
    assert {"si_sdr_in", "si_sdr_out", "snr_out", "lsd_out"} <= set(row)
    for name in ("curves.png", "samples/0.png"):
        assert (run / name).read_bytes().startswith(b"\x89PNG")
    target, rate = sf.read(run / "samples" / "0_target.flac")
    assert rate == 48_000
    assert len(target) == len(sf.read(run / "samples" / "0_restored.flac")[0])
    assert list((run / "events").iterdir())


def test_the_dev_scores_of_an_identity_are_those_of_its_input():
    """What came in is scored as what went out."""
    rng = np.random.default_rng(0)
    wanted = rng.standard_normal((2, 4800)).astype(np.float32)
    noisy = wanted + 0.1 * rng.standard_normal(wanted.shape).astype(np.float32)
    found = scores(noisy, noisy, wanted)

    assert found["snr_in"] == found["snr_out"] == pytest.approx(20, abs=0.5)


def test_curves_are_drawn_of_perfect_scores_too(tmp_path):
    """An input that is equal below the end of a band has an SNR of infinity, and no warning."""
    (tmp_path / "log.csv").write_text("step,seconds,loss\n1,1.0,0.5\n2,2.0,0.4\n")
    (tmp_path / "dev.csv").write_text("step,seconds,snr_in,snr_out\n1,1.0,inf,20\n2,2.0,inf,inf\n")
    curves(tmp_path)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
