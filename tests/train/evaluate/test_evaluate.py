"""Systems on pairs, from the command to tables, page and card."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.nets.makers import MAKERS
from tests.toy_nets import Breaks, save
from tests.train.evaluate.sounds import RATE, at_snr, voice
from train.cli import main
from train.evaluate.checks import Link
from train.evaluate.pairs import Origin, write_origins


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


@pytest.mark.skipif(not MAKERS["rnnoise"].installed, reason="pyrnnoise is not installed")
def test_a_rival_is_a_baseline_by_its_name(pairs, tmp_path, capsys):
    """As a baseline it is the model that it is by name; one system is not scored twice."""
    folder = pairs(lambda x: np.stack([at_snr(row, 5) for row in x]), files=1)
    args = ["evaluate", "--data", str(folder), "--metrics", "snr", "--baseline", "rnnoise"]
    assert main([*args, "--model", "mine=rnnoise"]) == 0
    rows = [row.split("|") for row in table_rows(capsys.readouterr().out)]
    assert [row[1].strip() for row in rows] == ["input", "mine", "rnnoise"]
    assert rows[1][2] == rows[2][2]
    assert main([*args, "--model", "rnnoise"]) == 2
    assert "two systems are called rnnoise" in capsys.readouterr().err


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


def write_estimates(folder, to, change):
    """Files of another program: the degraded ones after *change* (number, sound, path)."""
    to.mkdir()
    for number, path in enumerate(sorted((folder / "degraded").iterdir())):
        x = change(number, sf.read(path, dtype="float32")[0])
        if x is not None:
            sf.write(to / path.name, x, RATE, "FLOAT")
    return to


def scores(out, table="All files"):
    """Rows of a table: system -> cells."""
    part = out.split(f"{table}:\n\n")[1].split("\n\n")[0].splitlines()[2:]
    return {
        cells[0]: cells[1:] for cells in ([c.strip() for c in r.split("|")[1:-1]] for r in part)
    }


def test_a_system_that_goes_silent_loses(pairs, tmp_path, capsys):
    """It has the worst scores there, they count, and the files are named."""
    folder = pairs(lambda x: np.stack([at_snr(row, 0) for row in x]))
    mute = write_estimates(folder, tmp_path / "mute", lambda n, x: 0 * x if n < 2 else x)
    args = ["evaluate", "--data", str(folder), "--baseline", "none", "--estimates", f"mute={mute}"]
    metrics = "snr,si_sdr,seg_snr,lsd,pesq_wb,estoi"
    args += ["--report", str(tmp_path / "page.html"), "--report-files", "1"]
    assert main([*args, "--metrics", metrics, "--csv", str(tmp_path / "csv")]) == 0
    out = capsys.readouterr().out
    assert "mute failed on 2 of 4 files, scored as silence: snr+00_000: it is silent" in out
    assert "nan" not in out
    better = (1, 1, 1, -1, 1, 1)
    rows = scores(out)
    for sign, before, after in zip(better, rows["input"], rows["mute"], strict=True):
        assert before.endswith(" n=4")
        assert after.endswith(" n=4")
        assert sign * (float(after.split()[0]) - float(before.split()[0])) < 0
    lines = (tmp_path / "csv/mute.csv").read_text().splitlines()
    assert [line.split(",")[4] for line in lines] == ["failed", "1", "1", "0", "0"]
    assert lines[1].endswith(",-30,-30,-10,8,1,0")


FAILURES = {
    "it holds NaN": lambda x: np.where(np.arange(len(x)) == 99, np.nan, x),
    "it holds NaN or infinity": lambda x: np.where(np.arange(len(x)) == 99, np.inf, x),
    "there is no such file": lambda x: None,
    "samples too short": lambda x: x[: len(x) // 2],
    "samples too long": lambda x: np.tile(x, 2),
    "2 channels, the pair": lambda x: np.stack([x, x], 1),
    "[0-9] samples too short": lambda x: x[:0],
}


@pytest.mark.parametrize(("why", "change"), FAILURES.items(), ids=FAILURES)
def test_a_bad_estimate_is_one_bad_file(pairs, tmp_path, why, change, capsys):
    """It is named, counts as silence, and the others are scored as ever."""
    folder = pairs(lambda x: np.stack([at_snr(row, 0) for row in x]), files=3)
    bad = write_estimates(folder, tmp_path / "bad", lambda n, x: change(x) if n == 1 else x)
    args = ["evaluate", "--data", str(folder), "--baseline", "none", "--estimates", f"bad={bad}"]
    assert main([*args, "--kind", "music", "--metrics", "snr"]) == 0
    out = capsys.readouterr().out
    assert "bad failed on 1 of 3 files" in out
    assert re.search(f"scored as silence: snr[+]00_002: .*{why}", out)
    assert scores(out)["bad"][0].split()[0] == "-10.00"  # (0 - 30 + 0) / 3
    assert scores(out)["bad"][0].endswith("n=3")


def test_a_folder_of_other_files_is_no_system(pairs, tmp_path, capsys):
    """All files missing is a wrong folder, not a system that always fails."""
    folder = pairs(lambda x: x, files=2)
    (tmp_path / "other").mkdir()
    sf.write(tmp_path / "other/x.wav", voice(), RATE)
    args = ["evaluate", "--data", str(folder), "--kind", "music", "--baseline", "none"]
    assert main([*args, "--estimates", f"other={tmp_path / 'other'}"]) == 2
    assert "wanted a file for each of the pairs" in capsys.readouterr().err


def test_a_net_that_fails_is_not_scored_as_its_input(pairs, tmp_path, capsys):
    """The host puts the input in place of a broken hop; for a score that would be a gift."""
    folder = pairs(lambda x: np.stack([at_snr(row, 0) for row in x]), files=2)
    save(Breaks(10_000), tmp_path / "fine.pt")
    save(Breaks(20), tmp_path / "breaks.pt")
    args = ["evaluate", "--data", str(folder), "--kind", "music", "--baseline", "none"]
    args += ["--model", f"fine={tmp_path / 'fine.pt'}", "--model", f"b={tmp_path / 'breaks.pt'}"]
    assert main([*args, "--metrics", "snr"]) == 0
    out = capsys.readouterr().out
    assert "b failed on 2 of 2 files" in out
    assert "it gave NaN or infinity" in out
    assert "fine failed" not in out
    assert scores(out)["b"][0].startswith("-30.00")


def test_files_without_a_value_are_counted_and_named(pairs, capsys):
    """A mean over fewer files says so: the cell has its n, and a note has the names."""
    folder = pairs(lambda x: np.stack([at_snr(row, 0) for row in x]), files=3)
    for side in ("clean", "degraded"):
        path = sorted((folder / side).iterdir())[0]
        x = sf.read(path)[0]
        x[RATE // 3 :] *= 1e-4
        sf.write(path, x, RATE, "FLOAT")
    args = ["evaluate", "--data", str(folder), "--baseline", "none", "--metrics", "snr,stoi"]
    assert main(args) == 0
    out = capsys.readouterr().out
    assert f"STOI has no value for 1 of 3 references: {path.stem}." in out
    snr, stoi = scores(out)["input"]
    assert snr.endswith("n=3")
    assert stoi.endswith("n=2")


def test_intervals_are_over_voices_where_they_are_known(pairs, capsys):
    """With pairs.csv the line says whose; without, that it is not known."""
    folder = pairs(lambda x: np.stack([at_snr(row, 5) for row in x]), files=6)
    args = ["evaluate", "--data", str(folder), "--kind", "music", "--baseline", "none"]
    assert main(args) == 0
    out = capsys.readouterr().out
    assert "not known whose voices they are (no pairs.csv)" in out
    assert "interval over files, too narrow if a voice has several" in out
    assert "No intervals" not in out
    names = sorted(path.stem for path in (folder / "clean").iterdir())
    made = Link(0, 0.0, 1, 0.9)
    write_origins(
        folder / "pairs.csv",
        {name: Origin(f"voice{n // 3}", "rain", "", made, "") for n, name in enumerate(names)},
    )
    assert main(args) == 0
    out = capsys.readouterr().out
    assert "6 pairs of" in out
    assert "2 voices, 1 noise, 0 rooms; mean [95 % bootstrap interval over voices]" in out
    assert "No intervals: 2 voices are too few, wanted 5 or more." in out
