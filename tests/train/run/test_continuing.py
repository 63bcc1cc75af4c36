"""A run that continues: what may change, what may not, and what a damaged file says."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace

import pytest
import torch

from rtdenoise.errors import ModelError, UsageError
from tests.train.sets import RECIPES, TINY, make_older, rows_of
from train import config
from train.claim import claimed
from train.cli import main
from train.config import Recipe, changeable, differences
from train.data.cache import read
from train.run.checkpoint import CHECKPOINT, TrainingError, keep, read as read_checkpoint, resume
from train.run.export import export, write
from train.run.journal import forget_after, read_rows
from train.run.loop import fit
from train.sections import Run
from train.systems import make
from train.team import Team


@pytest.fixture
def copy(run, tmp_path):
    """A run of twelve steps that may be spoiled."""
    return shutil.copytree(run, tmp_path / "run")


def changed(folder, **values):
    """Write other *values* into a checkpoint; None takes a key out."""
    saved = torch.load(folder / CHECKPOINT, weights_only=False) | values
    torch.save({k: v for k, v in saved.items() if v is not None}, folder / CHECKPOINT)


def test_a_finished_run_is_extended_and_says_so(cache, copy, tmp_path, capsys):
    """Length, threads and reporting may change; the card tells, and names both caches."""
    shutil.copytree(cache, tmp_path / "cache")
    index = rows_of(cache)
    for row in index["recordings"]:
        row["licence"] = "another"
    make_older(tmp_path / "cache", index)
    sets = ["optim.steps=14", "run.log_steps=1", "run.tensorboard=false", "run.dev_s=5"]
    longer = config.load(RECIPES / "tiny.toml", sets)

    assert fit(longer, tmp_path / "cache", copy) == 14
    said = capsys.readouterr().out
    assert "from step 12 on: optim.steps = 14, was 0; run.dev_s = 5.0, was 600.0" in said
    assert "another cache than before" in said
    assert read_rows(copy / "log.csv")[-1]["step"] == 14
    card = export(copy, tmp_path / "net.pt")
    (change,) = card.config["changes"]
    assert (change["step"], change["was"]["optim.steps"]) == (12, 0)
    assert set(card.config["caches"]) == {read(tmp_path / "cache").digest, read(cache).digest}
    assert {row["licence"] for row in card.data} == {"CC", "another"}


def test_what_is_learned_may_not_change(cache, copy):
    """The message names every setting that differs."""
    other = config.load(RECIPES / "tiny.toml", ["optim.lr=1", "run.seed=2", "run.threads=2"])
    with pytest.raises(UsageError, match=r"another recipe \(optim.lr = 1.0, was 0.001; run.seed"):
        fit(other, cache, copy)
    assert {name for name in map("run.{}".format, vars(Run())) if not changeable(name)} == {
        "run.seed", "run.pool",
    }  # fmt: skip
    assert differences(TINY, Recipe()).keys() >= {"net.hidden", "name"}


def test_a_card_names_nothing_that_the_net_has_not_heard(run, tmp_path):
    """A run without a step has heard what the model that it began with has heard."""
    card = export(run, tmp_path / "first.pt")
    system = make(TINY, Team())
    at = resume(tmp_path, TINY, system, tmp_path / "first.pt")
    keep(tmp_path, TINY, system, at)
    again = export(tmp_path, tmp_path / "net.pt")

    assert again.data == card.data
    assert (again.config["caches"], len(card.config["caches"])) == ([], 1)


@pytest.mark.parametrize("heard", [{"rate_hz": 16_000}, {"reach_hz": 8000.0}])
def test_a_net_is_exported_only_at_the_rate_it_heard(copy, tmp_path, heard):
    """16 kHz data through a card of 48 kHz would pass `verify`."""
    changed(copy, **heard)
    with pytest.raises(ModelError, match=r"has heard sound at .* a model at 48000 Hz would say"):
        export(copy, tmp_path / "net.pt")
    assert not (tmp_path / "net.pt").exists()


def test_a_card_of_another_rate_than_its_net_is_refused(run, tmp_path):
    """Whoever wrote the card."""
    from train import networks

    card = replace(export(run, tmp_path / "good.pt"), sample_rate=16_000)
    with pytest.raises(ModelError, match="says 16000 Hz, but its net is for 48000 Hz"):
        write(networks.make(**TINY.net), card, tmp_path / "net.pt")


def test_narrow_sound_does_not_train_a_wide_net(cache, tmp_path):
    """Voices of 16 kHz in a cache of 48 kHz: nothing would be learned above 8 kHz."""
    shutil.copytree(cache, tmp_path / "cache")
    index = rows_of(cache)
    for row in index["recordings"]:
        row["bandwidth_hz"] = min(row["bandwidth_hz"], 8000)
    make_older(tmp_path / "cache", index)
    with pytest.raises(UsageError, match=r"no speech of .* above 8000 Hz, so a net at 48000 Hz"):
        fit(TINY, tmp_path / "cache", tmp_path / "run")


def test_a_checkpoint_of_an_earlier_version_is_used_with_a_warning(copy, tmp_path, capsys):
    """It does not say which cache its net heard."""
    new = ("caches", "rate_hz", "reach_hz", "changes")
    changed(copy, **dict.fromkeys(new))
    export(copy, tmp_path / "net.pt")
    assert "earlier version and has no digest of the cache" in capsys.readouterr().err
    assert resume(copy, TINY, make(TINY, Team())).step == 12
    assert "earlier version and has no digest of the cache" in capsys.readouterr().err


def test_a_run_has_one_process(cache, copy):
    """A second would write over its checkpoint."""
    with claimed(copy), pytest.raises(UsageError, match="another process writes to"):
        fit(TINY, cache, copy, steps=13)


def damages(content):
    """A file cut, with one bit changed, with zeros, or of something else altogether."""
    drawn = random.Random(1)
    for _ in range(4):
        at = drawn.randrange(len(content))
        yield content[:at]
        yield content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :]
        yield content[:at] + bytes(min(4096, len(content) - at)) + content[at + 4096 :]
    yield from (b"", b"no checkpoint", b"PK\x03\x04")


def test_a_damaged_checkpoint_is_one_line_that_names_it(run, tmp_path):
    """Wherever it is damaged: torch itself would load most of these without a word."""
    path = tmp_path / CHECKPOINT
    for content in damages((run / CHECKPOINT).read_bytes()):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=f"{path} is damaged") as error:
            read_checkpoint(path)
        assert "\n" not in str(error.value)


def test_a_checkpoint_that_lacks_something_says_what(cache, copy, capsys):
    """One of averaged weights alone can be exported, but not continued; it is no traceback."""
    saved = torch.load(copy / CHECKPOINT, weights_only=False)
    changed(copy, system={"average": saved["system"]["average"]})
    export(copy, copy / "net.pt")
    words = [str(RECIPES / "tiny.toml"), "--cache", str(cache), "--run", str(copy)]
    assert main(["fit", *words]) == 1
    assert f"{copy / CHECKPOINT} does not hold all" in capsys.readouterr().err
    changed(copy, step=None)
    assert main(["export", str(copy), "-o", str(copy / "net.pt")]) == 2
    assert (
        f"{copy / CHECKPOINT} is no checkpoint of a run: it lacks step" in capsys.readouterr().err
    )
    changed(copy, step=1, recipe={"net": {}})
    assert main(["export", str(copy), "-o", str(copy / "net.pt")]) == 2
    assert f"{copy / CHECKPOINT} holds no recipe that this" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"[1", b"7", b'{"PESQ": 3}', b"\xff", None])
def test_damaged_metrics_are_one_line(run, tmp_path, content):
    """The file is named."""
    if content is not None:
        (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"m\.json holds no scores"):
        export(run, tmp_path / "net.pt", tmp_path / "m.json")


@pytest.mark.parametrize(
    "content",
    [b"step,loss\n1,2\n2\n3,4\n", b"step,loss\n1,two\n", b"step,loss\n1,2,3\n", b"a,b\n1,2\n",
     b"\x00\xff\xfe\n", b"step,loss\n\n1,2\n"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["log.csv", "dev.csv"])
def test_damaged_records_are_one_line_that_names_them(copy, name, content):
    """Before a step is made."""
    (copy / name).write_bytes(content)
    with pytest.raises(TrainingError, match=rf"{name} is damaged after \d rows") as error:
        forget_after(copy / name, 5)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cut", ["3,", "3,0.", "st", "3,0.5"])
def test_a_line_that_a_kill_cut_is_left_out(tmp_path, cut, capsys):
    """Its step is made again."""
    path = tmp_path / "log.csv"
    path.write_text(f"step,loss\r\n1,0.5\r\n2,0.25\r\n{cut}")
    forget_after(path, 3)

    assert read_rows(path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]
    assert "its last line was cut" in capsys.readouterr().err
