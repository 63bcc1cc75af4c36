"""Draws: every recording by its weight, no excerpt across two, no recording on two sides."""

from __future__ import annotations

import zlib
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from rtdenoise.errors import UsageError
from tests.train.sets import write_cache
from train.data import index as index_module
from train.data.bank import Bank
from train.data.index import Index, Recording, place_of
from train.data.indexer import write_index
from train.data.leaks import check, check_no_leak
from train.data.library import TRIES, Library, is_active
from train.data.rows import Lot, Rows
from train.data.split import side_of
from train.sections import Data

RATE = 16_000
CPU = torch.device("cpu")
SIDES = ("train", "dev", "test")
DATA = Data(rate_hz=RATE, dev_share=0.3, test_share=0.2, seconds=0.002)


@pytest.fixture(scope="module", autouse=True)
def small_steps():
    """Pieces of a few rows, so that small caches have several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "PIECE", 64)
        yield


def varied(count: int, seed: int = 0) -> list[Recording]:
    """Recordings of all kinds and lengths, in three parts, some of them narrow or held out."""
    rng, rows, ends = np.random.default_rng(seed), list[Recording](), dict[tuple[str, str], int]()
    for _ in range(count):
        kind = str(rng.choice(["speech", "noise", "music", "rir"], p=[0.5, 0.3, 0.1, 0.1]))
        part = str(rng.choice(["", "one", "two/three"]))
        start = ends.get((kind, part), 0) + int(rng.integers(3))
        stop = ends[kind, part] = start + int(rng.integers(4, 90))
        split = str(rng.choice(["", "", "train", "dev", "test"]))
        rows.append(
            Recording(
                kind, f"{kind} {split} {rng.integers(1 + count // 4)}", f"set {rng.integers(4)}",
                f"licence {rng.integers(6)}", start, stop, float(rng.choice([4000, 8000, 16_000])),
                split, part=part,
            )
        )  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def rows():
    return varied(300)


@pytest.fixture(scope="module")
def cache(rows, tmp_path_factory):
    """A cache of them, in which a sample says whose it is."""
    return write_cache(tmp_path_factory.mktemp("cache"), rows, RATE)


def drawn_from_a_list(rows, kind, data, side, count, samples, rng):
    """Numbers of recordings and first samples as they were drawn when these were a list."""
    mine = [n for n, r in enumerate(rows) if r.kind == kind and side_of(r, data) == side]
    shortest = data.seconds * RATE
    weight = np.array([max(rows[n].stop - rows[n].start, shortest) for n in mine])
    weight = weight**data.length_power
    if kind == "speech":
        narrow = np.array([rows[n].bandwidth_hz <= 8000 for n in mine])
        weight = weight * np.where(narrow, data.narrow_weight, 1.0)
    chance = np.cumsum(weight / weight.sum())
    for _ in range(count):
        pick = mine[int(np.searchsorted(chance, rng.random() * chance[-1], side="right"))]
        start, stop = rows[pick].start, rows[pick].stop
        yield pick, start + int(rng.integers(max(1, stop - start - samples + 1)))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", ["speech", "noise", "music"])
@pytest.mark.parametrize("power", [0.0, 0.7, 1.0])
def test_a_seed_draws_what_it_drew_from_a_list(cache, rows, side, kind, power):
    """A run that continues does not change its data."""
    data = replace(DATA, length_power=power, narrow_weight=0.3)
    library = Library(cache, data, side)
    wanted = drawn_from_a_list(rows, kind, data, side, 200, 40, np.random.default_rng(5))
    audio, hz = library.excerpts(kind, 200, 40, np.random.default_rng(5))

    for excerpt, bandwidth_hz, (number, at) in zip(audio, hz, wanted, strict=True):
        length = min(40, rows[number].stop - at)
        assert (excerpt[:length] * 32768 == number + 1).all()
        assert bandwidth_hz == rows[number].bandwidth_hz


def test_a_seed_draws_again_what_is_silent_as_it_did(cache, rows):
    """Up to twelve times; the samples decide."""
    data = replace(DATA, narrow_weight=1.0)
    library, rng = Library(cache, data), np.random.default_rng(6)
    audio, _ = library.excerpts("speech", 100, 60, np.random.default_rng(6), active=True)
    for excerpt in audio:
        for _ in range(TRIES):
            ((number, at),) = drawn_from_a_list(rows, "speech", data, "train", 1, 60, rng)
            length = min(60, rows[number].stop - at)
            if is_active(np.full(length, number + 1, np.int16), 60):
                break
        assert (excerpt[:length] * 32768 == number + 1).all()


def plain(count: int) -> Index:
    """An index that has as many rows, and nothing else."""
    return Index(RATE, count, "", "", {}, {}, {})


masks = st.integers(0, 200).flatmap(lambda n: st.lists(st.booleans(), min_size=n, max_size=n))


@settings(max_examples=60, deadline=None)
@given(mask=masks, data=st.data())
def test_rows_are_those_that_the_rule_chooses(mask, data):
    """In order, counted, and each at its place."""
    chosen = np.array(mask, bool)
    rows = Rows(plain(len(mask)), lambda rows: chosen[rows])
    wanted = np.flatnonzero(chosen)
    places = data.draw(st.lists(st.integers(0, max(0, len(wanted) - 1)), max_size=9))

    assert len(rows) == len(wanted)
    assert np.concatenate([*rows.pieces(), []]).tolist() == wanted.tolist()
    if len(wanted):
        assert rows.nth(places).tolist() == wanted[places].tolist()


@settings(max_examples=60, deadline=None)
@given(mask=masks.filter(any), seed=st.integers(0, 999))
def test_every_chosen_row_is_drawn_by_its_weight(mask, seed):
    """The numbers that draw it are an interval of 0..1 as long as its share."""
    chosen = np.array(mask, bool)
    weight = 10 ** np.random.default_rng(seed).uniform(-3, 3, len(chosen))
    lot = Lot(plain(len(mask)), lambda rows: chosen[rows], lambda rows: weight[rows])
    wanted = np.flatnonzero(chosen)
    ends = np.append(0.0, np.cumsum(weight[wanted]) / weight[wanted].sum())
    for row, (begin, end) in zip(wanted, pairwise(ends), strict=True):
        inside = begin + (end - begin) * np.array([[0.001, 0.5], [0.9, 0.999]])

        assert (lot.draw(inside) == row).all()
    assert lot.draw(0.0) == wanted[0]
    assert lot.draw(np.nextafter(1.0, 0)) == wanted[-1]


def test_many_draws_have_the_shares_of_the_weights(cache, rows):
    """Chi-square over the training side's speech, with one seed; 99.9 % are below this."""
    library = Library(cache, DATA)
    lot = library.recordings["speech"]
    mine = [n for n, r in enumerate(rows) if r.kind == "speech" and side_of(r, DATA) == "train"]
    length = np.array([max(rows[n].stop - rows[n].start, 32) for n in mine])
    narrow = np.array([rows[n].bandwidth_hz <= 8000 for n in mine])
    share = length**DATA.length_power * np.where(narrow, DATA.narrow_weight, 1.0)
    share /= share.sum()
    found = np.bincount(lot.draw(np.random.default_rng(0).random(100_000)), minlength=len(rows))
    chi = ((found[mine] - 1e5 * share) ** 2 / (1e5 * share)).sum()

    assert found.sum() == found[mine].sum()
    assert chi < len(mine) + 3.1 * np.sqrt(2 * len(mine)) + 5


@pytest.mark.parametrize("kind", ["speech", "noise", "music"])
def test_no_excerpt_crosses_recordings(cache, rows, kind):
    """One by one, by batches at any speed, of one source, held by a device: one recording each."""
    library, rng = Library(cache, DATA), np.random.default_rng(1)
    found = [library.excerpts(kind, 300, 50, rng)[0], library.excerpts(kind, 300, 7, rng)[0]]
    bank = Bank(library, CPU)
    for speed in (1.0, 0.5):
        found.append(bank.excerpts(kind, 30, np.full(200, speed), rng)[0].numpy())
    assert library.hold(CPU)
    found.append(library.excerpts_on(CPU, kind, 300, 50, rng)[0].numpy())
    source = next(iter(library.sources(kind)))
    found.append(library.piece(kind, source, 0.01, rng)[None])
    mine = {n + 1 for n, r in enumerate(rows) if r.kind == kind and side_of(r, DATA) == "train"}
    for excerpt in (row for batch in found for row in batch):
        values = set(np.unique(excerpt * 32768).tolist())
        if kind == "speech":
            values.discard(0.0)
        assert len(values) == 1
        assert values <= mine


@pytest.mark.parametrize("seed", range(10))
def test_every_recording_is_on_the_side_of_its_source(tmp_path, seed):
    """The columns say what the recording alone says, and no source is on two sides."""
    rng, rows = np.random.default_rng(seed), varied(60, seed)
    held = int(rng.integers(9)) if seed % 2 else 0
    data = replace(
        DATA, dev_share=rng.uniform(0, 0.5), test_share=rng.uniform(0, 0.4),
        held_out_sources=("none", *(r.source for r in rows[:held])),
        held_out_origins=(f"set {held}", "none") if seed % 3 == 0 else (),
    )  # fmt: skip
    folder = write_cache(tmp_path, rows, RATE)
    sides: dict[str, Library] = {}
    for side in SIDES:
        wanted = [r for r in rows if side_of(r, data) == side]
        heard = [r for r in wanted if r.kind != "rir"]
        if not heard:
            with pytest.raises(UsageError, match=f"nothing on the {side} side"):
                Library(folder, data, side)
            continue
        sides[side] = library = Library(folder, data, side)
        for kind, found in library.recordings.items():
            assert list(found) == [r for r in wanted if r.kind == kind]
        assert list(library.rooms) == [r for r in wanted if r.kind == "rir"]
        assert library.sources() == {r.source for r in heard}
        assert library.summary() == summary_of(heard)
        assert library.reach_hz("noise") == max(
            (r.bandwidth_hz for r in heard if r.kind == "noise"), default=0.0
        )
        wide = {r.source for r in heard if r.kind == "speech" and r.bandwidth_hz > 8000}
        assert library.sources("speech", above_hz=8000) == wide
    shared = [one.sources() & other.sources() for one, other in combinations(sides.values(), 2)]
    if any(shared):  # of an origin that is held out
        with pytest.raises(UsageError, match="the split leaks"):
            check_no_leak(*sides.values())
    else:
        check_no_leak(*sides.values())


def summary_of(recordings: list[Recording]) -> list[dict[str, object]]:
    """The rows of a card, from a list."""
    table: dict[tuple[str, str], list[Recording]] = {}
    for r in recordings:
        table.setdefault((r.kind, r.origin), []).append(r)
    return [
        {
            "name": f"{origin} ({kind})",
            "hours": round(sum(r.stop - r.start for r in those) / RATE / 3600, 3),
            "licence": "; ".join(sorted({r.licence for r in those})[:4]),
        }
        for (kind, origin), those in sorted(table.items())
    ]


def on(side: str, count: int) -> list[str]:
    """Names of sources on a side."""
    names = (f"s{n}" for n in range(10_000))
    found = [n for n in names if side_of(Recording("speech", n, "", "", 0, 1, 1.0), DATA) == side]
    return found[:count]


def two_sides(tmp_path, first: bytes, second: bytes):
    """A cache of one voice on either side, with their true check sums."""
    (a,), (b,) = on("train", 1), on("dev", 1)
    half = len(first) // 2
    rows = [
        Recording("speech", name, "", "", at, at + half, 8e3, digest=zlib.crc32(content))
        for name, at, content in ((a, 0, first), (b, half, second))
    ]
    folder = write_cache(tmp_path, [replace(r, digest=0) for r in rows], RATE)
    (folder / "speech.i16").write_bytes(first + second)
    write_index(folder, RATE, rows)
    return folder


def test_check_sums_that_agree_by_chance_are_no_leak(tmp_path):
    """Of a million recordings about a hundred do: the samples decide."""
    first = np.random.default_rng(0).bytes(12_000)
    polynomial = ((0xEDB88320 << 1) | 1).to_bytes(5, "little")
    where = slice(10_000, 10_005)
    changed = bytes(x ^ y for x, y in zip(first[where], polynomial, strict=True))
    second = first[:10_000] + changed + first[10_005:]
    assert zlib.crc32(first) == zlib.crc32(second)

    data = replace(DATA, test_share=0.0)
    check(two_sides(tmp_path / "chance", first, second), data)
    with pytest.raises(UsageError, match=r"the split leaks: s\d+ = s\d+ on both sides"):
        check(two_sides(tmp_path / "copy", first, first), data)


def test_a_library_takes_the_parts_that_it_is_given(cache, rows):
    """A rank draws from its own; an unknown part has nothing."""
    library = Library(cache, DATA, parts=["two/three", "unknown"])
    audio, _ = library.excerpts("noise", 200, 4, np.random.default_rng(0))
    held = library.excerpts_on(CPU, "noise", 200, 4, np.random.default_rng(0))[0]
    assert library.hold(CPU)
    again = library.excerpts_on(CPU, "noise", 200, 4, np.random.default_rng(0))[0]

    numbers = {int(n) - 1 for n in np.unique(audio * 32768)}
    assert {rows[n].part for n in numbers} == {"two/three"}
    assert {r.part for kind in library.recordings.values() for r in kind} == {"two/three"}
    np.testing.assert_array_equal(held, audio)
    np.testing.assert_array_equal(again, audio)
    assert {r.part for r in library.another("dev").recordings["speech"]} == {"", "one", "two/three"}
    with pytest.raises(UsageError, match="nothing on the train side"):
        Library(cache, DATA, parts=["unknown"])


def test_pairs_come_from_recordings_that_have_twins(tmp_path):
    """In every part; the twin is of the same stretch."""
    rows = [replace(r, kind="speech", split="train", paired=n % 3 == 0)
            for n, r in enumerate(varied(40, 3)) if r.kind == "speech"]  # fmt: skip
    library = Library(write_cache(tmp_path, rows, RATE), DATA)
    degraded, clean, _ = library.pairs("speech", 200, 4, np.random.default_rng(0))

    assert (degraded == -clean).all()
    numbers = {int(n) - 1 for n in np.unique(clean * 32768)}
    assert numbers == {n for n, r in enumerate(rows) if r.paired}


def test_a_place_is_one_of_ten_thousand_by_the_name_alone():
    """The side of a source must not move when a version or a machine does."""
    assert place_of("p226") == zlib.crc32(b"p226") % 10_000
    assert place_of("\u00e9") == zlib.crc32("\u00e9".encode()) % 10_000
    assert 0 <= place_of("\udc80") < 10_000
