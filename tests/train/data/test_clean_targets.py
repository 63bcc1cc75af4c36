"""Targets without their steady noise: what goes, what stays, and what the cache says of it."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.train.sets import make_cache, rows_of
from train.data.cache import read
from train.data.pauses import range_db
from train.data.split import side_of
from train.sections import Data

RATE = 48_000
TOOL = Path(__file__).parents[3] / "tools" / "clean_targets.py"
TOOLS = runpy.run_path(str(TOOL))
cleaned, mended = TOOLS["cleaned"], TOOLS["mended"]


def make(cache: Path, out: Path, least_range_db: float) -> subprocess.CompletedProcess[str]:
    """Run the tool, on one core."""
    words = [sys.executable, str(TOOL), str(cache), str(out), "--jobs", "1"]
    words += ["--least-range", str(least_range_db), "--most-range", "200"]
    return subprocess.run(words, cwd=TOOL.parents[1], capture_output=True, text=True, check=False)


def talk(noise_db: float):
    """Ten bursts of harmonics with pauses between, and white noise of a level in dBFS."""
    rng, t = np.random.default_rng(3), np.arange(5 * RATE) / RATE
    harmonics = np.arange(1, 20)[:, None]
    voice = np.sum(np.sin(2 * np.pi * 170 * harmonics * t) / harmonics, axis=0)
    voice *= 0.1 * (np.sin(2 * np.pi * 2 * t) > 0)
    noise = rng.standard_normal(len(t)) * 10 ** (noise_db / 20)
    return voice, noise


def level_db(x) -> float:
    """Level of a sound in dBFS."""
    return float(10 * np.log10(np.mean(x**2) + 1e-12))


def test_steady_noise_goes_from_the_pauses_and_the_voice_stays():
    """At a noise 37 dB below the voice, pauses are lowered by 15 dB, the error is that noise."""
    voice, noise = talk(-57)
    out = cleaned(voice + noise)
    pause = np.convolve(np.abs(voice), np.ones(4800), "same") < 1e-9

    assert pause.sum() > RATE
    assert level_db(out[pause]) < level_db(noise[pause]) - 15
    assert level_db(out - voice) < level_db(noise) + 3


def test_a_voice_without_noise_stays_as_it_is():
    """The estimate of the noise is what is there in the pauses, which is nothing."""
    voice, _ = talk(-120)
    assert level_db(cleaned(voice) - voice) < level_db(voice) - 50


def test_what_is_too_noisy_or_too_short_is_no_target():
    """The range is that between pauses and voice."""
    voice, noise = talk(-40)
    samples = np.round((voice + noise) * 32767).astype(np.int16)
    assert 15 < range_db(samples / 32768, 48_000) < 25
    assert mended(samples, 33.0, 50.0) is None
    assert mended(samples[:1000], 0.0, 50.0) is None
    changed = mended(samples, 10.0, 50.0)
    assert changed.shape == samples.shape
    assert level_db(changed - samples) > -60
    assert mended(samples, 10.0, 15.0) is samples  # quiet enough to stay as it is


def test_only_voices_of_the_training_side_change(clips, tmp_path):
    """The cache that is written is whole, and everything else in it is what it was."""
    cache, out = make_cache(clips, tmp_path, RATE), tmp_path / "out"
    assert make(cache, out, 10.0).returncode == 0
    before, after = read(cache), read(out)
    after.check_sizes()
    after.check_samples([*after.recordings, *after.rooms])

    def other(contents):
        recordings = [*contents.recordings, *contents.rooms]
        return {
            r.source: contents.samples_of(r).tobytes()
            for r in recordings
            if r.kind != "speech" or side_of(r, Data()) != "train"
        }

    assert other(before) == other(after)
    voices = {r.source: r for r in after.recordings if r.part}
    assert len(voices) >= 6
    assert {r.kind for r in voices.values()} == {"speech"}
    for r in (r for r in before.recordings if r.source in voices):
        was, now = before.samples_of(r), after.samples_of(voices[r.source])
        assert was.shape == now.shape
        assert not np.array_equal(was, now)
        assert np.corrcoef(was, now)[0, 1] > 0.9


def test_an_output_that_is_there_is_not_written_over(clips, tmp_path):
    """The cache in it may be that of a run."""
    cache = make_cache(clips, tmp_path, RATE)
    assert make(cache, tmp_path / "out", 10.0).returncode == 0
    index = rows_of(tmp_path / "out")
    assert "File exists" in make(cache, tmp_path / "out", 40.0).stderr
    assert rows_of(tmp_path / "out") == index
