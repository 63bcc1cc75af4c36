"""Items: manifests, listings, shards, and the memory of all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from rtdenoise.cluster import items
from rtdenoise.cluster.items import Item, from_listing, shard
from rtdenoise.cluster.manifest import from_manifest
from rtdenoise.errors import UsageError
from rtdenoise.files.batch import Naming

ROOT = Path(__file__).parents[2]
INTO = Naming(folder="out")


def rows(path, naming=INTO):
    """(source, target, size) of each item, or the fault."""
    return [
        str(item.fault) if item.fault else (item.source, item.target, item.size)
        for item in from_manifest(str(path), naming)
    ]


def test_the_three_forms_of_a_manifest_say_the_same(tmp_path):
    """Columns in any order, others beside them, a byte order mark, empty cells."""
    (tmp_path / "m.csv").write_text(
        "\ufeffspeaker,size,input,output\nme,7,a b.wav,x/y.flac\nyou,,s3://b/c.wav,\n"
    )
    made = [{"input": "a b.wav", "output": "x/y.flac", "size": 7}, {"input": "s3://b/c.wav"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, made)) + "\n\n")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    table = pytest.importorskip("pyarrow").Table.from_pylist(made)
    parquet.write_table(table, tmp_path / "m.parquet")
    for suffix in ("csv", "jsonl", "parquet"):
        assert rows(tmp_path / f"m.{suffix}") == [
            ("a b.wav", "out/x/y.flac", 7),
            ("s3://b/c.wav", "out/b/c.wav", None),
        ]


def test_a_broken_line_costs_itself_only(tmp_path):
    """With its number; the others go on."""
    (tmp_path / "m.csv").write_text(
        'input,output,size\na.wav,,x\nb.wav\n,c.wav,\nd.wav,d.wav,1,2\ne.wav,,\n"f\n'
    )
    (tmp_path / "m.jsonl").write_text(
        '{"input": "a.wav"}\n{"input": 5}\n[]\n{"inp\n{"output": "b"}\n{"input": "c.wav"}\n'
    )
    told = rows(tmp_path / "m.csv")
    assert [row[0] for row in told if isinstance(row, tuple)] == ["e.wav"]
    assert [row.partition("m.csv, ")[2] for row in told if isinstance(row, str)] == [
        "line 2: the size is no number of bytes",
        "line 3: wanted 3 columns",
        "line 4: wanted the name of an input",
        "line 5: wanted 3 columns",
        "line 7: not CSV: unexpected end of data",
    ]
    told = rows(tmp_path / "m.jsonl")
    assert [row[0] for row in told if isinstance(row, tuple)] == ["a.wav", "c.wav"]
    assert sum("wanted" in row for row in told if isinstance(row, str)) == 4


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("m.csv", b"name,out\na,b\n", "no column `input`; its columns: name, out"),
        ("m.jsonl", b'{"name": "a"}\n', "no column `input`; its columns: name"),
        ("m.csv", b"", "has no inputs"),
        ("m.csv", b"input\n", "has no inputs"),
        ("m.jsonl", b"\n", "has no inputs"),
        ("m.parquet", b"PAR1 and so on", "is not parquet"),
        ("m.txt", b"a.wav\n", r"none of \.csv"),
        ("no/m.csv", None, "there is no file"),
        (".", None, "none of"),
    ],
)
def test_a_manifest_that_is_none_is_told(name, content, says, tmp_path):
    """Before any work is done."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=says) as error:
        rows(tmp_path / name)
    assert "\n" not in str(error.value)


def test_parquet_needs_pyarrow(tmp_path, monkeypatch):
    """What to install."""
    (tmp_path / "m.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'rtdenoise\[cluster\]'"):
        rows(tmp_path / "m.parquet")


names = st.lists(st.text(st.characters(blacklist_characters="\0"), min_size=1), unique=True)


@settings(max_examples=30, deadline=None)
@given(names, st.integers(1, 5), st.randoms())
def test_shards_are_all_items_once(found, count, random):
    """In whatever order, and wherever the tree is."""
    made = [Item(f"/here/{name}", None, name, name) for name in found]
    parts = [list(shard(made, number, count)) for number in range(count)]
    assert sorted(item.below for part in parts for item in part) == sorted(found)
    random.shuffle(made)
    moved = [Item(f"/there/{item.below}", 1, "x", item.below) for item in made]
    for number, part in enumerate(parts):
        again = shard(moved, number, count)
        assert {item.below for item in again} == {item.below for item in part}


def test_shards_are_about_equal():
    """10 000 items in 7 shards: within five standard deviations."""
    made = [Item(f"{n:05}.wav", None, "", f"{n:05}.wav") for n in range(10_000)]
    for number in range(7):
        assert abs(len(list(shard(made, number, 7))) - 10_000 / 7) < 5 * 35


@pytest.mark.parametrize(("number", "count"), [(3, 3), (0, 0), (-1, 2)])
def test_there_is_no_such_shard(number, count):
    """The message has the choices."""
    with pytest.raises(UsageError, match="wanted 0 to"):
        list(shard([], number, count))


def test_several_folders_keep_apart(tmp_path, monkeypatch):
    """Each under its own name, and what is written is not read."""
    monkeypatch.chdir(tmp_path)
    for name in ("t/a.wav", "t/b/c.mp3", "t/b/no.txt", "t/.hidden/x.wav", "u/a.wav", "t/out/a.wav"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()

    def pairs(*named, **naming):
        found = from_listing(named, Naming(**naming), recursive=True)
        return sorted((item.source, item.target) for item in found)

    assert pairs("t", folder="t/out") == [
        ("t/a.wav", "t/out/a.wav"),
        ("t/b/c.mp3", "t/out/b/c.mp3"),
    ]
    assert pairs("t/b", "u", folder="o", suffix="-x") == [
        ("t/b/c.mp3", "o/b/c-x.mp3"),
        ("u/a.wav", "o/u/a-x.wav"),
    ]
    place = (tmp_path / "o o").as_uri()
    assert pairs(f"file://{tmp_path}/u", folder=place) == [
        (f"{tmp_path}/u/a.wav", f"{tmp_path}/o o/a.wav")
    ]


def test_no_name_leads_out_of_the_folder_of_outputs(tmp_path):
    """Keys of a store are any text, and a manifest may be a stranger's."""
    item = items.item_of(INTO, "s3://b/in/../../x.wav", "../../x.wav")
    assert "leads out of its folder" in str(item.fault)
    (tmp_path / "m.jsonl").write_text('{"input": "../../etc/x.wav"}\n{"input": "/etc/y.wav"}\n')
    assert [row[1] for row in rows(tmp_path / "m.jsonl")] == ["out/etc/x.wav", "out/etc/y.wav"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_listing_needs_the_memory_of_a_page():
    """150 000 items need no more than 5000; tools/archive_memory.py tells of 10 million."""
    tool = [sys.executable, str(ROOT / "tools" / "archive_memory.py"), "--no-log"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*tool, "5000", "150000"], capture_output=True, check=True, env=env)
    few, many = map(json.loads, done.stdout.splitlines())
    assert (few["items"], many["items"]) == (5000, 150_000)
    assert many["peak_mb"] < few["peak_mb"] + 8


def test_a_listing_loads_no_net_and_no_kernel():
    """A driver of ten million items holds names, and nothing that would process them."""
    code = (
        "import sys, rtdenoise.cluster.items; "
        "print([m for m in ('numba', 'scipy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
