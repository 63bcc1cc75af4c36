"""Evaluation: what must refuse, what metrics are by definition, tables, pages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.errors import UsageError
from rtdenoise.nets.torchscript import Generator
from tests.toy_nets import Identity, card_for
from train.cli import main
from train.evaluate import checks, metrics, tables
from train.evaluate.baselines import BASELINES
from train.evaluate.metrics import measure
from train.evaluate.run import shifted

CLIPS = Path(__file__).parents[2] / "examples/audio"
RATE = 16_000


def voice(seconds=3.0, seed=0):
    """Noise that comes in syllables, loudest below 1 kHz: (samples,)."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.arange(len(spectrum)) * RATE / n
    x = np.fft.irfft(spectrum / (1 + (hz / 800) ** 1.5), n)
    return (0.1 * x * (1.1 + np.sin(2 * np.pi * 3 * np.arange(n) / RATE))).astype(np.float32)


def noise(seed=9, n=3 * RATE):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def at_snr(x, snr_db, seed=9):
    added = noise(seed, len(x))
    return x + added * (x.std() / added.std() * 10 ** (-snr_db / 20))


@pytest.fixture
def pairs(tmp_path):
    """Make a folder of pairs by a function clean -> degraded; files are named by their SNR."""

    def write(damage, files=4, channels=1):
        for name in ("clean", "degraded"):
            (tmp_path / name).mkdir(exist_ok=True)
        for number in range(files):
            clean = np.stack([voice(seed=10 * number + c) for c in range(channels)])
            name = f"snr{5 * (number % 2):+03d}_{number:03d}.wav"
            sf.write(tmp_path / "clean" / name, clean.T, RATE, "FLOAT")
            sf.write(tmp_path / "degraded" / name, np.atleast_2d(damage(clean)).T, RATE, "FLOAT")
        return tmp_path

    return write


def room(x, drr_db=-3.0):
    """Direct sound and an exponentially decaying tail that is stronger in sum."""
    rng = np.random.default_rng(3)
    tail = rng.standard_normal(6000) * np.exp(-np.arange(6000) / 1500)
    tail[:200] = 0
    tail *= 10 ** (-drr_db / 20) / np.linalg.norm(tail)
    tail[0] = 1.0
    return np.stack([np.convolve(row, tail)[: x.shape[1]] for row in x])


def low(x):
    spectrum = np.fft.rfft(x)
    spectrum[..., int(2500 / (RATE / 2) * spectrum.shape[-1]) :] = 0
    return np.fft.irfft(spectrum, x.shape[-1])


FINE = {
    "noise at 0 dB": lambda x: np.stack([at_snr(row, 0) for row in x]),
    "noise at -5 dB": lambda x: np.stack([at_snr(row, -5) for row in x]),
    "a room": room,
    "a low-pass": low,
    "nothing": lambda x: x,
}
WRONG = {
    r"-6.0 dB loud.*sox -m": lambda x: 0.5 * x,
    r"\+3.0 dB loud": lambda x: 1.413 * at_snr(x[0], 10),
    r"come 37 samples \(2.3 ms\) late": lambda x: np.pad(x, ((0, 0), (37, 0)))[:, : x.shape[1]],
    r"come -20 samples": lambda x: np.pad(x[:, 20:], ((0, 0), (0, 20))),
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


def test_the_identity_run_refuses_a_host_that_changes_the_sound(monkeypatch):
    """It passes at the net's rate and at others; a gain in the line is seen."""
    from train.evaluate import checks as at

    generator = Generator(Identity(), card_for(Identity()))
    for rate_hz in (48_000, 16_000):
        checks.identity_run(generator, voice()[None], rate_hz)
    monkeypatch.setattr(at, "process", lambda line, audio: 0.9 * audio)
    for rate_hz in (48_000, 16_000):
        with pytest.raises(UsageError, match="identity run"):
            checks.identity_run(generator, voice()[None], rate_hz)


def test_an_exact_copy_scores_best_everywhere():
    """LSD 0, coherence 1, intelligibility 1, the top of PESQ."""
    r = sf.read(CLIPS / "clean.flac", dtype="float32", always_2d=True)
    found = measure(r[0].T[:1], r[0].T[:1], r[1], "speech", 4000)
    assert found["snr"] == found["si_sdr"] == np.inf
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
    assert found["si_sdr"] > 100
    log10 = 2 * np.log10(2)  # every bin is off by as much, so no order of means matters
    for name in ("lsd", "lsd_origin", "lsd_mugan", "lsd_hf", "lsd_lf"):
        assert found[name] == pytest.approx(log10, abs=1e-4)
    for name in ("lsd_kul_code", "lsd_kul_paper"):
        assert found[name] == pytest.approx(log10 * np.log(10), abs=1e-3)
    assert found["coherence_lf"] == pytest.approx(1)


def test_chosen_metrics_are_those_of_all_and_no_others_are_computed(monkeypatch):
    """A quick look leaves out DNSMOS, which takes longer than the rest together."""
    r = voice()[None].astype(np.float32)
    x = at_snr(r[0], 10.0)[None]
    everything = measure(x, r, RATE)
    monkeypatch.setattr(metrics, "dnsmos", None)
    some = measure(x, r, RATE, chosen=("estoi", "si_sdr"))

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


def test_dnsmos_is_that_of_speechmos(monkeypatch):
    """The package's own code, with librosa (only P.808 needs it) replaced by zeros."""
    import sys

    mel = SimpleNamespace(melspectrogram=lambda **k: np.zeros((120, 900)))
    fake = SimpleNamespace(feature=mel, power_to_db=lambda x, ref: x)
    monkeypatch.setitem(sys.modules, "librosa", fake)
    monkeypatch.setitem(sys.modules, "requests", SimpleNamespace(session=None))
    dnsmos = pytest.importorskip("speechmos.dnsmos")
    x = at_snr(voice(11.5), 5).clip(-1, 1)
    wanted = dnsmos.run(x, 16_000)
    found = metrics.dnsmos(x.astype(np.float64))
    for name in ("sig", "bak", "ovrl"):
        assert found[name] == pytest.approx(wanted[f"{name}_mos"], abs=1e-4)


def test_a_metric_that_cannot_be_computed_is_nan():
    """PESQ finds no speech in silence, STOI needs half a second; neither stops the rest."""
    silence, short = np.zeros(RATE), voice(0.2).astype(np.float64)
    for e, r in ((silence, silence), (short, short)):
        assert np.isnan(list(metrics.pesq(e, r).values())).all()
    assert np.isnan(list(metrics.stoi(short, short).values())).all()


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_keep_shape_and_the_band_that_was_there(name):
    """None may move, cut or turn the sound below the cut-off, or be random."""
    x = low(np.stack([voice(seed=s) for s in (1, 2)])).astype(np.float32)
    y = BASELINES[name](x, RATE, 2500.0)
    assert y.shape == x.shape
    assert y.dtype == np.float32
    assert np.array_equal(y, BASELINES[name](x, RATE, 2500.0))
    for row in range(2):
        found = checks.link(y[row], x[row], RATE)
        assert (found.lag, found.polarity) == (0, 1)
        assert found.correlation > 0.8


def test_super_resolution_baselines_do_what_they_are_called():
    """sinc leaves nothing above, spline images, noise fill follows the level below."""
    x = low(voice()[None]).astype(np.float32)
    high = {name: x - low(x) for name, x in ((n, BASELINES[n](x, RATE, 2500.0)) for n in BASELINES)}
    assert np.abs(high["sinc"]).std() < 0.02 * x.std()
    assert high["noise-fill"].std() > 2 * np.abs(high["sinc"]).std()
    louder = BASELINES["noise-fill"](4 * x, RATE, 2500.0)
    np.testing.assert_allclose(louder, 4 * BASELINES["noise-fill"](x, RATE, 2500.0), atol=1e-4)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """95 % of intervals of 30 draws hold the mean they were drawn from (give or take 5)."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low_end, high_end = tables.interval(rng.normal(3.0, 1.0, 30))
        hits += low_end < 3.0 < high_end
    assert 0.88 * 200 < hits < 0.99 * 200


def test_means_are_of_files_by_condition_and_overall():
    """A group of two files weighs twice a group of one; order is by SNR; NaN does not count."""
    names = {"snr+10_000": 1.0, "snr-05_001": 2.0, "snr-05_002": 6.0, "snr-05_003": np.nan}
    systems = {"input": {name: {"snr": value} for name, value in names.items()}}
    rows = [line.split("|")[1:4] for line in tables.by_group(systems, ["snr"]).splitlines()[2:]]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["-5 dB", "input", "4.00"],
        ["10 dB", "input", "1.00"],
    ]
    assert "| input | 3.00 [" in tables.overall(systems, ["snr"])


def test_estimates_of_others_are_aligned_and_ours_is_not_touched(pairs, tmp_path, capsys):
    """A folder 480 samples late scores as one that is not; --aligned takes it as it comes."""
    folder = pairs(lambda x: np.stack([at_snr(row, 5) for row in x]))
    for name, lag in (("late", 480), ("prompt", 0)):
        (tmp_path / name).mkdir()
        for path in (folder / "degraded").iterdir():
            x = sf.read(path, dtype="float32")[0]
            sf.write(tmp_path / name / path.name, np.pad(x, (lag, 0)), RATE, "FLOAT")
    args = ["evaluate", "--data", str(folder), "--kind", "music", "--baseline", "none"]
    for name in ("late", "prompt"):
        args += ["--estimates", f"{name}={tmp_path / name}"]
    assert main([*args, "--csv", str(tmp_path / "csv")]) == 0
    out = capsys.readouterr().out
    assert "late estimated: 480 samples" in out
    snr = {row.split("|")[1].strip(): row.split("|")[2].split()[0] for row in table_rows(out)}
    assert float(snr["late"]) == pytest.approx(float(snr["input"]), abs=0.3)  # its end is cut
    assert snr["prompt"] == snr["input"]
    text = (tmp_path / "csv/late.csv").read_text().splitlines()
    assert text[0].startswith("file,delay_ms,gain_db,polarity,snr,si_sdr")
    assert text[1].split(",")[1] == "30"
    assert main([*args, "--aligned"]) == 0
    rows = {row.split("|")[1].strip(): row for row in table_rows(capsys.readouterr().out)}
    assert float(rows["late"].split("|")[2].split()[0]) < 0


def table_rows(out):
    return out.split("All files:")[1].split("Paired")[0].strip().splitlines()[2:]


def test_a_model_is_scored_with_baselines_report_and_card(pairs, tmp_path, capsys):
    """One run end to end on the model in the box, on a clip with a name that HTML must escape."""
    folder = pairs(lambda x: np.stack([at_snr(row, 5) for row in x]), files=1)
    for side in ("clean", "degraded"):
        for path in (folder / side).iterdir():
            path.rename(path.with_name("<b>&'x.wav"))
    args = ["evaluate", "--data", str(folder), "--model", "speech", "--baseline", "gate"]
    args += ["--report", str(tmp_path / "r.html"), "--card", str(tmp_path / "card.json")]
    assert main(args) == 0
    out = capsys.readouterr().out
    assert [row.split("|")[1].strip() for row in table_rows(out)] == ["input", "gate", "speech"]
    html = (tmp_path / "r.html").read_text()
    assert "<b>&'x" not in html
    assert html.count("<audio") == 4
    for file in re.findall(r'src="([^"]+)"', html):
        from urllib.parse import unquote

        assert (tmp_path / unquote(file)).stat().st_size > 1000
    card = json.loads((tmp_path / "card.json").read_text())
    assert {"identity", "model", "gate", "files"} == set(card["SI-SDR dB"])
    assert "PESQ-WB" in card


def test_files_that_cannot_be_scored_are_named_and_skipped(pairs, capsys):
    """Silent, NaN, short, unreadable, of another rate: the others still count."""
    folder = pairs(lambda x: at_snr(x[0], 5), files=6)
    names = sorted(path.name for path in (folder / "clean").iterdir())
    bad = {0: np.zeros(RATE), 1: np.full(RATE, np.nan), 2: voice()[:2000]}
    for number, x in bad.items():
        for side in ("clean", "degraded"):
            sf.write(folder / side / names[number], x, RATE, "FLOAT")
    (folder / "degraded" / names[3]).write_bytes(b"no sound")
    sf.write(folder / "clean" / names[4], voice(), 8000, "FLOAT")
    args = ["evaluate", "--data", str(folder), "--kind", "music", "--baseline", "none"]
    assert main(args) == 0
    out = capsys.readouterr().out
    assert "1 of 6 pairs" in out
    for word in ("is silent", "NaN", "shorter than", "not a sound file", "clean at 8000 Hz"):
        assert word in out
    (folder / "clean" / names[5]).unlink()
    assert main(args) == 2
    assert "without a twin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--baseline", "magic"], "no baseline 'magic'; known: sinc"),
        (["--baseline", "sinc"], "needs a cut-off; give --cutoff-hz"),
        (["--task", "superres"], "needs a cut-off; give --cutoff-hz"),
        (["--estimates", "x=/nowhere"], "wanted a file for each"),
        (["--model", "a=speech", "--model", "a=speech"], "'a' is taken"),
        (["--model", "nothing"], "no model 'nothing'"),
        (["--card", "c.json"], "needs a model; it is that of a --model"),
        (["--metrics", "snr,pesq_wb"], "no metric 'pesq_wb' for this; known: snr, si_sdr"),
        (["--data", "/nowhere"], "wanted a folder with clean/"),
    ],
)
def test_wrong_questions_are_one_line(pairs, flags, message, capsys):
    """Before any time is spent."""
    folder = pairs(lambda x: x, files=1)
    assert main(["evaluate", "--data", str(folder), "--kind", "music", *flags]) in (2, 4)
    assert message in capsys.readouterr().err


def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch):
    """Scoring's packages are an extra."""
    from train import extras

    monkeypatch.setattr(extras, "import_module", lambda name: exec("raise ImportError"))
    with pytest.raises(UsageError, match=r"pip install 'rtdenoise\[eval\]'"):
        metrics.pesq(voice().astype("f8"), voice().astype("f8"))
