"""Caches of several data sets: a file is its bytes, wherever it lies and whatever it is called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
import soundfile as sf

from rtdenoise.errors import UsageError
from tests.train.sets import RECIPES, make_sound
from train.cli import main
from train.data.cache import read
from train.data.layouts import find
from train.data.part import DONE, PARTS
from train.data.prepare import GONE, prepare
from train.data.record import Record
from train.data.shards import TRYING, fill, shards

RATE = 16_000
COPIES = "copies of others, left out"


def make(folder, *names, seed=0):
    """A data set of one second of noise for each name, which no other name has."""
    for number, name in enumerate(names):
        make_sound(folder / name, seed=1000 * seed + number)
    return folder


def sounds(cache):
    """The samples of all recordings by source, in the order of the index."""
    contents = read(cache)
    return [(r.source, contents.samples_of(r).tobytes()) for r in contents.recordings]


def seconds(cache):
    """The length of all samples in a cache, whether they are in the index or not."""
    return sum(path.stat().st_size for path in cache.rglob("*.i16")) / 2 / RATE


@pytest.fixture
def one(tmp_path):
    """A data set of three files and its cache."""
    make(tmp_path / "one", "a.wav", "b.wav", "c.wav")
    prepare(tmp_path / "one", tmp_path / "cache", RATE)
    return tmp_path


def test_a_second_data_set_joins_and_brings_no_copies(one, capsys):
    """It comes after the first, whose recordings stay as they are."""
    first = sounds(one / "cache")
    make(one / "two", "d.wav", "e.wav", seed=1)
    shutil.copy(one / "one" / "b.wav", one / "two" / "copy.wav")
    counts = prepare(one / "two", one / "cache", RATE)
    joined = sounds(one / "cache")

    assert counts == {"used": 5, COPIES: 1}
    assert f"{COPIES}: 1" in capsys.readouterr().out
    assert joined[:3] == first
    assert [source for source, _ in joined[3:]] == ["d", "e"]
    assert seconds(one / "cache") == 5
    prepare(one / "one", one / "cache", RATE)
    assert sounds(one / "cache") == joined


def test_a_cache_does_not_depend_on_when_it_was_interrupted(one):
    """What was prepared in two goes has the order of one."""
    make(one / "one", "0.wav", "bb.wav", seed=2)
    prepare(one / "one", one / "cache", RATE)
    prepare(one / "one", one / "fresh", RATE)

    assert sounds(one / "cache") == sounds(one / "fresh")


@pytest.mark.parametrize("how", ["moved", "copied and removed", "typed in another way"])
def test_a_data_set_that_was_moved_is_the_same(one, how, monkeypatch):
    """No file is decoded again, and none is in the cache twice."""
    before, folder = sounds(one / "cache"), one / "one"
    if how == "moved":
        folder = folder.rename(one / "elsewhere")
    elif how == "copied and removed":  # with new times
        for path in folder.iterdir():
            (one / "elsewhere").mkdir(exist_ok=True)
            shutil.copyfile(path, one / "elsewhere" / path.name)
        shutil.rmtree(folder)
        folder = one / "elsewhere"
    else:
        monkeypatch.chdir(one)
        folder = folder.relative_to(one)
    counts = prepare(folder, one / "cache", RATE)

    assert counts == {"used": 3}
    assert sounds(one / "cache") == before
    assert seconds(one / "cache") == 3


def test_renamed_and_exchanged_files_keep_their_samples(one):
    """Bytes decide, also if two files have each other's name."""
    folder, before = one / "one", dict(sounds(one / "cache"))
    (folder / "a.wav").rename(folder / "x.wav")
    (folder / "b.wav").rename(folder / "a.wav")
    (folder / "x.wav").rename(folder / "b.wav")
    (folder / "c.wav").rename(folder / "z.wav")
    counts = prepare(folder, one / "cache", RATE)

    assert counts == {"used": 3}
    assert dict(sounds(one / "cache")) == {
        "a": before["b"], "b": before["a"], "z": before["c"],
    }  # fmt: skip
    assert seconds(one / "cache") == 3


def test_a_changed_file_is_decoded_again_and_a_touched_one_is_not(one):
    """The old samples leave the index; a new time alone changes nothing."""
    old = dict(sounds(one / "cache"))
    make_sound(one / "one" / "b.wav", seed=77)  # as long as it was
    os.utime(one / "one" / "c.wav", (1, 1))
    prepare(one / "one", one / "cache", RATE)
    prepare(one / "one", one / "fresh", RATE)

    assert sounds(one / "cache") == sounds(one / "fresh")
    assert old["b"] not in dict(sounds(one / "cache")).values()
    assert seconds(one / "cache") == 4
    (one / "one" / "b.wav").write_text("no sound")
    assert prepare(one / "one", one / "cache", RATE) == {"used": 2, "unreadable": 1}


def test_recordings_outlive_their_files_unless_told_otherwise(one, capsys):
    """Often the originals are removed to make room; --prune follows the data set."""
    before = sounds(one / "cache")
    (one / "one" / "b.wav").unlink()
    command = ["prepare", str(one / "one"), str(one / "cache"), "--rate", str(RATE)]
    assert main(command) == 0
    said = capsys.readouterr().out

    assert f"{GONE}, kept: 1" in said
    assert "--prune" in said
    assert sounds(one / "cache") == before
    assert main([*command, "--prune"]) == 0
    assert f"{GONE}, dropped: 1" in capsys.readouterr().out
    assert sounds(one / "cache") == [before[0], before[2]]


def test_what_a_manifest_says_may_change_without_the_sound(one):
    """Another speaker, licence and split, and no file is decoded again."""
    rows = ["path,source_id,licence,split", "a.wav,ann,CC0,dev", "b.wav,ben,CC0,"]
    (one / "one" / "manifest.csv").write_text("\n".join(rows) + "\n")
    prepare(one / "one", one / "cache", RATE, prune=True)
    first, second = read(one / "cache").recordings

    assert (first.source, first.licence, first.split) == ("ann", "CC0", "dev")
    assert (second.source, second.split) == ("ben", "")
    assert seconds(one / "cache") == 3


def test_clipped_files_come_and_go_by_their_option(one):
    """In a cache that is there, too."""
    make_sound(one / "one" / "loud.wav", gain=3.0)
    for skip, used in ((False, 4), (True, 3), (False, 4)):
        assert prepare(one / "one", one / "cache", RATE, skip_clipped=skip)["used"] == used


def test_what_could_not_be_read_is_tried_again(one):
    """A disk that was not there is no property of a recording."""
    (one / "one" / "manifest.csv").write_text("path\na.wav\nlate.wav\n")
    assert prepare(one / "one", one / "other", RATE) == {"used": 1, "unreadable": 1}
    make_sound(one / "one" / "late.wav", seed=5)
    assert prepare(one / "one", one / "other", RATE) == {"used": 2}


def test_an_older_cache_is_taken_as_it_is(one, monkeypatch):
    """Its lines have no digests, and paths as they were typed."""
    header, *lines = map(json.loads, (one / "cache" / DONE).read_text().splitlines())
    older = [{"rate_hz": header["rate_hz"], "folder": "one"}]
    for line in lines:
        known = {k: line[k] for k in ("clipped", "measured_hz", "recording")}
        older.append({"path": os.path.relpath(line["path"], one), **known})
    before = sounds(one / "cache")
    for folder in (one, one / "one"):  # where the path of that time leads somewhere, and not
        text = "".join(json.dumps(line) + "\n" for line in older)
        (one / "cache" / DONE).write_text(text)
        monkeypatch.chdir(folder)
        make_sound(one / "one" / "new.wav", seed=5)
        assert prepare(one / "one", one / "cache", RATE)["used"] == 4
        assert sounds(one / "cache")[:3] == before
    assert seconds(one / "cache") == 4


def test_a_full_disk_keeps_what_fitted(one):
    """A limit on the size of files stands in for it; the same command goes on."""
    make(one / "big", *(f"{n:02}.wav" for n in range(20)), seed=3)
    command = f"ulimit -f 512; exec {sys.executable} -m train prepare {one}/big {one}/full"
    done = subprocess.run(
        ["bash", "-c", f"{command} --rate {RATE}"],
        cwd=RECIPES.parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "cannot write the cache" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    prepare(one / "big", one / "full", RATE)
    prepare(one / "big", one / "fresh", RATE)

    assert sounds(one / "full") == sounds(one / "fresh")
    assert seconds(one / "full") == 20


def cut(folder, cache, count):
    """A begun cache, and its shards for *count* workers."""
    cache.mkdir(exist_ok=True)
    record = Record(cache, RATE, folder)
    todo = record.match(find(folder), lambda entries: [])
    return shards(folder, record, todo, count, False)


def test_shards_hold_every_file_once(one):
    """Whatever their number; each has a part of its own."""
    make(one / "many", *(f"{n}.wav" for n in range(9)), seed=4)
    for count in (1, 3, 9, 50):
        found = cut(one / "many", one / "c", count)
        numbers = [number for shard in found for number, _ in shard.entries]
        assert numbers == list(range(9))
        assert len({shard.part for shard in found}) == len(found) >= min(9, 2 * count) // 2
        assert all(shard.part.startswith(f"{PARTS}/") for shard in found)


def test_a_file_that_ends_two_workers_is_left_out(one):
    """A worker that comes third says so, and does the rest; the next run tries it again."""
    (shard, *_) = cut(one / "one", one / "c", 1)
    part, first = one / "c" / shard.part, shard.entries[0][1].path
    part.mkdir(parents=True)
    (part / TRYING).write_text(json.dumps([first, 2]))
    fill(shard)
    lines = [json.loads(line) for line in (part / DONE).read_text().splitlines()]

    assert [line["path"] for line in lines if "fault" in line] == [first]
    assert "ended 2 workers" in lines[0]["fault"]
    assert len(lines) == len(shard.entries) == 2
    assert prepare(one / "one", one / "c", RATE) == {"used": 3}


def test_a_worker_that_does_not_see_the_files_says_so(one):
    """It would call all of them unreadable."""
    (shard, *_) = cut(one / "one", one / "c", 1)
    (one / "one").rename(one / "gone")
    with pytest.raises(UsageError, match=r"does not see .*one: all nodes"):
        fill(shard)


def test_the_name_of_a_file_may_have_a_number_sign(one):
    """It means a row for array files only."""
    sf.write(one / "one" / "d#1.wav", sf.read(one / "one" / "a.wav")[0][::-1], RATE)
    assert prepare(one / "one", one / "cache", RATE) == {"used": 4}
