"""The index of a cache: what was written is read, or an error says what is wrong."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from rtdenoise.errors import UsageError
from tests.train.sets import make_older, rows_of, write_cache
from train.data import index as index_module, indexer
from train.data.cache import read
from train.data.index import (
    ALL_KINDS,
    ALL_SPLITS,
    DEGRADED,
    HEADER,
    INDEX,
    Recording,
    files_of,
)
from train.data.indexer import open_index, write_index

RATE = 16_000
texts = st.text(st.characters(exclude_categories=()), max_size=6)  # lone surrogates, too
recordings = st.builds(
    Recording,
    kind=st.sampled_from(ALL_KINDS),
    source=texts,
    origin=texts,
    licence=texts,
    start=st.integers(0, 1 << 40),
    stop=st.integers(1 << 41, (1 << 62) - 1),
    bandwidth_hz=st.floats(1e-3, 1e6),
    split=st.sampled_from(ALL_SPLITS),
    paired=st.booleans(),
    digest=st.integers(0, (1 << 32) - 1),
    part=st.sampled_from(["", "a", "part 2", "a/b", "\u00fcn\u00ef"]),
)


@pytest.fixture(scope="module", autouse=True)
def small_steps():
    """Batches and pieces of a few rows, so that small indices have several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexer, "BATCH", 3)
        patch.setattr(indexer, "KNOWN", 2)
        patch.setattr(indexer, "PIECE", 32)
        patch.setattr(index_module, "PIECE", 32)
        yield


def some(count: int = 70) -> list[Recording]:
    """Recordings in two parts, with twins and rooms among them."""
    rows: list[Recording] = []
    for number in range(count):
        kind, part = ALL_KINDS[number % 4], ("", "more")[number % 3 == 0]
        before = [r.stop for r in rows if (r.kind, r.part) == (kind, part)]
        start = before[-1] + 2 if before else 0
        rows.append(
            Recording(
                kind, f"source {number // 4}", f"set {number % 5}", "CC0", start,
                start + 10 + number, 7000.0 + number, ALL_SPLITS[number % 7 % 4], number % 2 == 1,
                part=part,
            )
        )  # fmt: skip
    return rows


@pytest.fixture
def cache(tmp_path):
    return write_cache(tmp_path / "cache", some())


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(recordings, max_size=70))
def test_what_was_written_is_read(rows):
    """Any texts, any number of rows; those of a source are found by its name."""
    with TemporaryDirectory() as folder:
        write_index(Path(folder), RATE, iter(rows))
        index = open_index(Path(folder))

        assert index.rate_hz == RATE
        assert [index.recording(row) for row in range(index.rows)] == rows
        for source in {r.source for r in rows}:
            found = [rows[row] for row in index.rows_of(source)]
            assert found == [r for r in rows if r.source == source]
        assert not len(index.rows_of("nobody has this name"))
        copies = {row for row, r in enumerate(rows) if r.digest and any(
            (r.digest, r.stop - r.start) == (o.digest, o.stop - o.start)
            for o in [*rows[:row], *rows[row + 1 :]]
        )}  # fmt: skip
        assert set(index.column["copies"].tolist()) == copies
        del index


def older_digest(cache: Path, rows: list[Recording]) -> str:
    """The digest of a cache as it was when index.json was a list."""
    lists = [[{k: v for k, v in vars(r).items() if v or k != "part"} for r in rows
              if (r.kind == "rir") == rooms] for rooms in (False, True)]  # fmt: skip
    told = blake2b(json.dumps([RATE, lists], sort_keys=True).encode(), digest_size=16)
    sizes: dict[str, int] = {}
    for r in rows:
        for suffix in (".i16", DEGRADED)[: 1 + r.paired]:
            name = (f"{r.part}/" if r.part else "") + r.kind + suffix
            sizes[name] = max(sizes.get(name, 0), 2 * r.stop)
    for name, size in sorted(sizes.items()):
        told.update(f"{name} {size}".encode())
        with (cache / name).open("rb") as file:
            for block in range(64):
                file.seek(max(0, size - 4096) * block // 63)
                told.update(file.read(4096))
    return told.hexdigest()


def test_a_cache_keeps_the_digest_that_checkpoints_know(cache):
    """Whether its index is a list or columns: a run that continues hears no other cache."""
    rows = some()
    wanted = older_digest(cache, rows)

    assert read(cache).digest == wanted
    make_older(cache, rows_of(cache))
    assert read(cache).digest == wanted
    assert read(cache).digest == wanted  # by the columns made before
    samples = np.memmap(cache / "speech.i16", np.int16, "r+")
    samples[0] = 99
    samples.flush()
    assert read(cache).digest != wanted


def test_an_older_index_is_converted_once_and_stays(cache):
    """The list is not touched; a second process takes the columns."""
    write_index(cache, RATE, [])
    index = rows_of(write_cache(cache, some()))
    make_older(cache, index)
    before = (cache / INDEX).read_bytes()
    first = list(read(cache).recordings)
    made = {path: path.stat().st_mtime_ns for path in cache.glob("index-*/*")}
    again = read(cache)

    assert list(again.recordings) == first == [r for r in some() if r.kind != "rir"]
    assert list(again.rooms) == [r for r in some() if r.kind == "rir"]
    assert (cache / INDEX).read_bytes() == before
    assert made == {path: path.stat().st_mtime_ns for path in made}
    index["recordings"][0]["licence"] = "another"
    make_older(cache, index)
    assert read(cache).recordings[0].licence == "another"


def test_an_older_cache_on_a_full_or_foreign_disk_is_read_in_place(cache, monkeypatch):
    """Nothing is left, and nothing is missing."""
    make_older(cache, rows_of(cache))
    for path in cache.glob("index-*"):
        path.rename(cache / "aside")
    before = sorted(cache.rglob("*"))
    (cache / "index.taken.part").write_text("")  # no folder can be made, even by root
    monkeypatch.setattr(indexer, "token_hex", lambda _: "taken")
    contents = read(cache)

    assert [r for r in contents.recordings if r.kind == "speech"] == [
        r for r in some() if r.kind == "speech"
    ]
    assert sorted({*cache.rglob("*")} - {cache / "index.taken.part"}) == before


@pytest.mark.parametrize("how", ["gone", "cut", "longer", "changed"])
def test_a_damaged_column_is_one_error_that_names_it(cache, how):
    """Each of them, and the header."""
    (folder,) = cache.glob("index-*")
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        if not content:
            continue  # no recording is a copy
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 1])
        new = {
            "cut": content[:-1], "longer": content + b"0",
            "changed": content[:middle] + flipped + content[middle + 1 :],
        }.get(how)  # fmt: skip
        path.unlink() if new is None else path.write_bytes(new)
        if not (path.name == HEADER and how == "changed"):
            with pytest.raises(UsageError, match=rf"{path.name} is .*make the cache again"):
                read(cache)
        path.write_bytes(content)
    read(cache)


def test_a_damaged_column_of_an_older_cache_is_made_again(cache):
    """The list still has what it held."""
    make_older(cache, rows_of(cache))
    first = list(read(cache).recordings)
    for path in cache.glob("index-*/start"):
        path.write_bytes(b"")

    assert list(read(cache).recordings) == first


def test_index_json_cannot_name_a_folder_outside_the_cache(cache):
    """Whoever wrote it."""
    for name in ("../cache/index-0123456789abcdef", "index-../..", 7, None):
        (cache / INDEX).write_text(json.dumps({"columns": name}))
        with pytest.raises(UsageError, match=r"index.json is damaged"):
            read(cache)


@pytest.mark.parametrize(
    "part", ["..", "a/../..", "/tmp", ".", "a//b", "a/", "a\0b", "a\\..", "c:x"]
)
def test_a_part_lies_below_the_cache(cache, part):
    """A cache from a stranger reads no other files."""
    with pytest.raises(ValueError, match="part = "):
        write_index(cache, RATE, [replace(some()[0], part=part)])
    index = rows_of(cache)
    index["recordings"][0]["part"] = part
    with pytest.raises(UsageError, match=r"index.json is damaged.*part = "):
        read(make_older(cache, index))


def test_a_write_that_fails_leaves_the_index_before(cache):
    """And no half of a new one."""

    def broken():
        yield from some(9)
        raise OSError("the source is gone")

    before = {path: path.read_bytes() for path in cache.rglob("index*") if path.is_file()}
    with pytest.raises(OSError, match="the source is gone"):
        write_index(cache, RATE, broken())

    assert {path: path.read_bytes() for path in cache.rglob("index*") if path.is_file()} == before
    assert len(read(cache).recordings) + len(read(cache).rooms) == 70


def test_a_new_index_replaces_the_one_before_and_equal_ones_are_equal(cache):
    """Columns that nothing names are removed, but those that a process has mapped stay with it."""
    mapped = open_index(cache)
    text = (cache / INDEX).read_bytes()
    write_index(cache, RATE, some(9))

    assert [mapped.recording(row) for row in range(mapped.rows)] == some()
    assert len(list(cache.glob("index[-.]*"))) == 2
    assert [open_index(cache).recording(row) for row in range(9)] == some(9)
    write_index(cache, RATE, some())
    assert (cache / INDEX).read_bytes() == text
    for path in cache.glob("index-*/stop"):
        path.write_bytes(b"")
    write_index(cache, RATE, some())
    assert len(read(cache).recordings) == len([r for r in some() if r.kind != "rir"])


def test_a_file_that_is_cut_while_it_is_used_is_an_error(cache):
    """Not a killed process, as a mapped file would be, nor silence."""
    contents = read(cache)
    row = next(n for n, r in enumerate(some()) if r.start > 100)
    os.truncate(cache / files_of(some()[row])[0], 40)

    with pytest.raises(UsageError, match="was cut: it ends before sample"):
        contents.samples_of_row(row)
