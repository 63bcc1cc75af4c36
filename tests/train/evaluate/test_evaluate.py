"""Systems on pairs, from the command to tables, page and card."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import soundfile as sf

from tests.train.evaluate.sounds import RATE, at_snr, voice
from train.cli import main


def table_rows(out):
    return out.split("All files:")[1].split("Paired")[0].strip().splitlines()[2:]


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
    assert text[0].startswith("file,gain_db,polarity,delay_ms,failed,snr,si_sdr")
    assert text[1].split(",")[3:5] == ["30", "0"]
    assert main([*args, "--aligned"]) == 0
    rows = {row.split("|")[1].strip(): row for row in table_rows(capsys.readouterr().out)}
    assert float(rows["late"].split("|")[2].split()[0]) < 0


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


def test_pairs_that_cannot_be_scored_are_refused_by_name_or_left_out(pairs, capsys):
    """Silent, NaN, short, unreadable, of another rate: nothing is left out unasked."""
    folder = pairs(lambda x: at_snr(x[0], 5), files=6)
    names = sorted(path.name for path in (folder / "clean").iterdir())
    bad = {0: np.zeros(RATE), 1: np.full(RATE, np.nan), 2: voice()[:2000]}
    for number, x in bad.items():
        for side in ("clean", "degraded"):
            sf.write(folder / side / names[number], x, RATE, "FLOAT")
    (folder / "degraded" / names[3]).write_bytes(b"no sound")
    sf.write(folder / "clean" / names[4], voice(), 8000, "FLOAT")
    args = ["evaluate", "--data", str(folder), "--kind", "music", "--baseline", "none"]
    assert main(args) == 2
    err = capsys.readouterr().err
    assert "5 of 6 pairs cannot be scored" in err
    assert "--leave-out scores the others" in err
    assert main([*args, "--leave-out"]) == 0
    out = capsys.readouterr().out
    assert "1 of 6 pairs" in out
    assert "Left out 5: " in out
    for word in ("is silent", "NaN", "shorter than", "not a sound file", "clean at 8000 Hz"):
        assert word in out
        assert word in err
    (folder / "clean" / names[5]).unlink()
    assert main(args) == 2
    assert "lack a twin" in capsys.readouterr().err
