"""Caches: what was cut, damaged or changed never trains a net without a word."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.errors import UsageError
from tests.train.sets import RECIPES, make_older, make_sound, rows_of
from train.claim import LOCK, claimed
from train.cli import main
from train.data.cache import read
from train.data.index import INDEX
from train.data.leaks import check
from train.data.library import Library
from train.data.prepare import prepare
from train.sections import Data

RATE = 16_000
DATA = Data(rate_hz=RATE, dev_share=0.3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Twenty pairs of voices, and the cache of them."""
    folder = tmp_path_factory.mktemp("made")
    for number in range(20):
        for side in ("clean", "noisy"):
            make_sound(folder / "data" / side / f"{number}.wav", 0.5 + number / 40, seed=number)
    prepare(folder / "data", folder / "cache", RATE)
    return folder


@pytest.fixture
def cache(made, tmp_path):
    return shutil.copytree(made / "cache", tmp_path / "cache")


def damage(path, how):
    """Cut a file, or write over the end of it."""
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "zeros":
        path.write_bytes(content[:-1000] + bytes(1000))
    else:
        path.write_bytes(content[:how])


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("speech.i16", 1000), ("speech.i16", 0), ("speech.i16", -2), ("speech.i16", -1),
        ("speech.i16", "gone"), ("speech.i16", "zeros"), ("speech.degraded.i16", 1000),
        ("speech.degraded.i16", "gone"), (INDEX, 0), (INDEX, 10), (INDEX, -1),
    ],
)  # fmt: skip
def test_a_damaged_cache_is_one_line_that_names_the_file(cache, name, how, capsys):
    """No traceback, and no training on what is left."""
    damage(cache / name, how)
    tiny = str(RECIPES / "tiny.toml")
    code = main(["fit", tiny, "--cache", str(cache), "--run", str(cache / "run")])
    said = capsys.readouterr().err.strip()

    assert code == 2
    assert str(cache / name) in said
    assert "\n" not in said
    assert not (cache / "run").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"start": -1}, {"stop": 0}, {"stop": "9"}, {"kind": "song"}, {"split": "tran"}, {"x": 1},
        {"bandwidth_hz": 0}, {"bandwidth_hz": None}, {"bandwidth_hz": float("nan")},
    ],
)  # fmt: skip
def test_an_index_that_makes_no_sense_is_one_line(cache, change):
    """Whoever wrote it."""
    index = rows_of(cache)
    index["recordings"][3] |= change
    make_older(cache, index)
    with pytest.raises(UsageError, match=r"index.json is damaged \("):
        read(cache)


@pytest.mark.parametrize("index", [[], {}, {"rate_hz": 0, "recordings": []}, "text", None])
def test_an_index_without_a_rate_is_refused(cache, index):
    """Its sound would be played at a guess."""
    make_older(cache, index)
    with pytest.raises(UsageError, match=r"index.json is damaged"):
        read(cache)


def test_check_reads_every_sample(tmp_path):
    """A few recordings are compared at every start, and all of them by `check`."""
    for number in range(100):
        make_sound(tmp_path / "data" / f"{number}.wav", 0.3, seed=number)
    prepare(tmp_path / "data", tmp_path / "cache", RATE)
    contents = read(tmp_path / "cache")
    probed = {r.source for r in contents.probes()}
    other = next(r for r in contents.recordings if r.source not in probed)
    samples = np.memmap(tmp_path / "cache" / "speech.i16", np.int16, "r+")
    samples[other.start] += 1
    samples.flush()

    Library(tmp_path / "cache", DATA)
    with pytest.raises(UsageError, match=rf"speech.i16 is damaged: {other.source}, bytes"):
        check(tmp_path / "cache", DATA)


def test_the_digest_tells_caches_apart(made, cache):
    """The same data gives the same; other samples, another index or another twin do not."""
    found = {read(made / "cache").digest}
    prepare(made / "data", cache.parent / "again", RATE)
    found |= {read(cache.parent / "again").digest, read(cache).digest}
    assert len(found) == 1
    twins = np.memmap(cache / "speech.degraded.i16", np.int16, "r+")
    twins[:100] = 1
    twins.flush()
    found.add(read(cache).digest)
    index = rows_of(cache)
    index["recordings"][0]["licence"] = "another"
    make_older(cache, index)
    found.add(read(cache).digest)

    assert len(found) == 3


@pytest.mark.parametrize(
    ("name", "how"),
    [("speech.i16", 1000), ("speech.degraded.i16", 30_000), ("speech.i16", "gone"),
     ("prepared.jsonl", 900)],
)  # fmt: skip
def test_prepare_makes_again_what_was_cut(made, cache, name, how):
    """Zeros would stand for the samples that are gone."""
    header, *lines = (cache / "prepared.jsonl").read_text().splitlines()
    assert json.loads(header)["folders"] == [str(made / "data")]
    damage(cache / name, how)
    prepare(made / "data", cache, RATE)

    for file in ("speech.i16", "speech.degraded.i16", INDEX):
        assert (cache / file).read_bytes() == (made / "cache" / file).read_bytes()
    assert len((cache / "prepared.jsonl").read_text().splitlines()) == len(lines) + 1


def test_twins_stay_beside_their_recordings(tmp_path):
    """Also after a recording that has none, which would move all that follow."""
    for name in ("p226_001", "p226_002", "p226_003"):
        make_sound(tmp_path / "clean_trainset_wav" / f"{name}.wav", seed=int(name[-1]))
        clean, _ = sf.read(tmp_path / "clean_trainset_wav" / f"{name}.wav")
        (tmp_path / "noisy_trainset_wav").mkdir(exist_ok=True)
        if name != "p226_002":
            sf.write(tmp_path / "noisy_trainset_wav" / f"{name}.wav", clean / 2, RATE)
    prepare(tmp_path, tmp_path / "cache", RATE)
    library = Library(tmp_path / "cache", Data(rate_hz=RATE, dev_share=0.0))
    degraded, clean, _ = library.pairs("speech", 12, 4000, np.random.default_rng(0))

    np.testing.assert_allclose(degraded, clean / 2, atol=1e-4)


CLAIM = "import sys, time, pathlib; from train.claim import claimed\n"
CLAIM += "with claimed(pathlib.Path(sys.argv[1])): print('mine', flush=True); time.sleep(60)"


def test_a_folder_has_one_writer_and_a_killed_one_leaves_it_free(made, tmp_path):
    """Two would write over each other's samples; a lock that stays would need mending by hand."""
    command = [sys.executable, "-c", CLAIM, str(tmp_path / "cache")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(UsageError, match="another process writes to"):
            prepare(made / "data", tmp_path / "cache", RATE)
        process.kill()
    assert (tmp_path / "cache" / LOCK).exists()
    assert prepare(made / "data", tmp_path / "cache", RATE)["used"] == 20
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write to"), claimed(tmp_path / "file"):
        pass
