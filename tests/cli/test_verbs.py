"""The verbs print what they say, and exit as they say."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from rtdenoise.cli import main
from rtdenoise.nets import box
from rtdenoise.nets.makers import MAKERS
from tests.toy_nets import Hums, Identity, save


def test_the_verbs_print_and_exit_as_they_say(tmp_path, capsys):
    """verify: 0 or 4. info and bench: 0. An unknown model: 4. A bad flag: 2."""
    good, bad = save(Identity(), tmp_path / "good.pt"), save(Hums(), tmp_path / "bad.pt")

    assert main(["verify", str(good)]) == 0
    assert "11 of 11 checks passed" in capsys.readouterr().out
    assert main(["verify", "--json", str(bad)]) == 4
    checks = json.loads(capsys.readouterr().out)
    assert not next(c for c in checks if c["rule"].startswith("silence"))["passed"]
    assert main(["info", str(good)]) == 0
    assert "48000 Hz" in capsys.readouterr().out
    assert main(["bench", "--json", "--seconds", "1", str(good)]) == 0
    report = json.loads(capsys.readouterr().out)
    own = next(row for row in report["timings"] if row["name"].startswith("paced, 48000"))
    assert report["offline_x"] > 0
    assert report["verdict"] == own["verdict"]
    assert report["others"] == {}  # whatever the verdict: no model of the box does the same
    assert main(["models"]) == 0
    capsys.readouterr()
    assert main(["info", "nosuch"]) == 4
    assert "In the box" in capsys.readouterr().err
    assert main(["bench", "--seconds", "0", str(good)]) == 2
    with pytest.raises(SystemExit) as usage:
        main(["verify", "--nosuch"])
    assert usage.value.code == 2
    assert main([]) == 2
    assert "clean sound files" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(good)])
    assert f"rtdenoise file {good}" in capsys.readouterr().err


def test_models_says_what_each_is_for_and_where_it_is_weak(capsys, monkeypatch):
    """Of each: task, kind, latency, size, licence and weakness; --speed measures it here too."""
    included = [name for name in box.models() if name not in MAKERS]
    assert set(tomllib.loads((box.BOX / "weak.toml").read_text())) == set(included)
    assert main(["models"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for name in included:
        card, size = box.card(name), box.place(name).stat().st_size
        latency_ms = 1e3 * (card.window + card.lookahead) / card.sample_rate
        assert (
            f"{name} {card.task} {card.kind}, {card.sample_rate} Hz, latency {latency_ms:.1f} ms, "
            f"{card.parameters / 1e6:.2f} M parameters, {size / 1e6:.1f} MB, {card.licence} "
            f"{card.description} {box.weak(name)}"
        ) in told
    monkeypatch.setattr(box, "models", lambda: ["speech-small"])
    assert main(["models", "--speed"]) == 0
    hop = (
        r"here: a hop of 10\.7 ms takes ([\d.]+) ms \(p99 ([\d.]+)\), files ([\d.e+]+) x real time"
    )
    (measured,) = re.findall(hop, capsys.readouterr().out)
    assert all(float(number) > 0 for number in measured)
    assert main(["models", "--json"]) == 0
    (model,) = [m for m in json.loads(capsys.readouterr().out) if m["name"] == "speech-small"]
    assert model["bytes"] == box.place("speech-small").stat().st_size
